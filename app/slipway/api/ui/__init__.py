"""The pages for people: start a run, follow it, answer its interrupts."""
