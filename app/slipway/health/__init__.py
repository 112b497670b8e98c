"""What is wrong with the server or its records, and how to repair it."""
