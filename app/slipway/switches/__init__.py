"""Switches: a node, a tool, a graph or everything is switched off, and runs pause before it until it is on again."""
