"""The versions of graphs in Redis: what is registered, what live workers serve, what still needs a version."""
