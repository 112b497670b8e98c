"""The duties of workers. Each duty is one file of the same shape."""
