"""Slipway's shared domain: records, stores and rules that the API, the workers and the command line all use."""
