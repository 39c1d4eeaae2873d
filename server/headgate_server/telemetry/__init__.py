"""What is written about requests: log, metrics, traces."""
