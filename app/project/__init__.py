"""A developer's project: what langgraph.json says, and what its graphs are like."""
