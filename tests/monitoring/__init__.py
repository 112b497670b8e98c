"""The files of docs/monitoring: rules, alerts and the dashboard, with promtool and Prometheus."""
