"""Observability: the access log and the error log, Prometheus metrics, OpenTelemetry traces."""
