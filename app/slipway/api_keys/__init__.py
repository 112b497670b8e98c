"""API keys: who may send requests, with which scopes and for which owner, until when."""
