"""Tests of bearer tokens of an OpenID Connect issuer."""
