"""What got stuck is found, told and mended; what is in order is left alone."""
