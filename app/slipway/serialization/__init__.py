"""Values as bytes and back: strict for storage, as JSON for clients."""
