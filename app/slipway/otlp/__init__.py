"""OpenTelemetry: the spans of sampled runs as other programs receive them (OTLP over HTTP)."""
