"""MCP servers: their tools as tools of the project, with a pinned list of them."""
