"""Tests of encryption at rest: no stored byte is readable, keys can be replaced while everything works."""
