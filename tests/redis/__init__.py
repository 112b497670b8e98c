"""Tests of how scripts are assembled, which shard they use, and of the layout version."""
