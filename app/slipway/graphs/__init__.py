"""A developer's project: langgraph.json, and loading, compiling and describing its graphs."""
