"""Runs LangGraph graphs as a service: the library, the API and the command line."""
