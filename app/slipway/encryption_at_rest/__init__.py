"""Encryption at rest of a deployment: the keys that its processes use, what is encrypted with which key, and the
rotation of keys."""
