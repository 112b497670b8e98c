"""Groups of commands of the CLI: one module for each group.

Every process of Slipway imports them, and a supervisor only these. Functions import LangGraph, LangChain and what needs
them, when their command is executed.
"""
