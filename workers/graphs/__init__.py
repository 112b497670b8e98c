"""The graphs that ship: each useful as it is, runnable with no key, and an example to start one's own from."""
