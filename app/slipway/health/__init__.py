"""Health checks of a deployment, of its Redis and of its records, and the repair of records."""
