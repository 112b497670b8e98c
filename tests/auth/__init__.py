"""The project's own code around the API: auth files, apps, and what langgraph.json's `http` says."""
