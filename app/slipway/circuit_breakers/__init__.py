"""Circuit breakers of models and tools, for all processes of a deployment."""
