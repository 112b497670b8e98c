"""Mails to a list of recipients: drafts one mail for each segment of the list, and sends each when people agree.

    draft ──> send (one task for each mail; one person must approve it, two above 50 recipients) ──> report

A mail is sent by the tool `send_mail`, which the section `slipway` of langgraph.json grants to the node `send` only.
"""

from examples.outreach.graph import graph

__all__ = ["graph"]
