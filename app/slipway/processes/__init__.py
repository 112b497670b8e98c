"""The processes of a deployment: how they start, are supervised, and stop."""
