"""The worker process: claims runs, executes them, and performs duties."""
