"""The event protocol: runs' logs told as events of a thread."""
