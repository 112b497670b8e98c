"""An arq application and a graph in one project: arq jobs fetch web pages, the graph enqueues them and reports, and a
cron job starts the graph every night.

Serve it with `slipway dev --config examples/arq_jobs/langgraph.json`.
"""
