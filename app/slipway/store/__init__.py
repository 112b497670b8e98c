"""The long-term store: JSON objects under namespaces."""
