"""Typed request bodies, parsed and checked."""
