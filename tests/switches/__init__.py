"""Operating runs and switches, with a web process, a worker and clients."""
