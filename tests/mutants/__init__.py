"""Faults that are planted in the code one at a time, to see that the named tests notice them."""
