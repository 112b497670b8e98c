"""Calls of tools: their definitions, who may make them, and the gateway that each call passes."""
