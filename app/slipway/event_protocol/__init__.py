"""The event protocol: translates the event logs of runs to the events of a thread."""
