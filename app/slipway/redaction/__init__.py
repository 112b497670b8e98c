"""Redaction: secrets are replaced in everything that leaves a process, or is stored for people to read."""
