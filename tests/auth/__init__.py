"""Auth files, host apps, and the sections `auth` and `http` of langgraph.json."""
