"""The processes Slipway is made of: how they begin, are named, kept running and let go."""
