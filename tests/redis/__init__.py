"""How scripts are assembled, which shard they use, and what a store says about its layout."""
