"""Tests that compare the catalogue of keys and fields with the scripts, the Python code and the stored data."""
