"""What checks or wraps every request before it reaches a route."""
