"""Redis or Valkey: connections, grouped commands, key names, and the Lua scripts."""
