"""Values as bytes and back: strictly for storage, as JSON for clients."""
