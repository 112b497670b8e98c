"""Groups of commands of the CLI: one module for each group."""
