"""Redis or Valkey as a process sees it: connections, commands in groups, and what the server says of itself."""
