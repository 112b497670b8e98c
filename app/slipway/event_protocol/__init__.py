"""The event protocol: the logs of runs, translated into the events of a thread."""
