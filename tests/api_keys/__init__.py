"""Tests of API keys, their scopes and their owners."""
