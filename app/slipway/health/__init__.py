"""Health checks of a deployment, of its Redis, of its records and of the event loops, and the repair of records."""
