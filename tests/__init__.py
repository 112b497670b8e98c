"""Tests against a real Valkey, each under its own key prefix."""
