"""What operators do with one run: pause, resume, cancel, retry, skip a node, edit the state."""
