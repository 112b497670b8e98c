"""Tests of rollouts: which version new threads get, who changes it, and when a version is rolled back."""
