"""Records of requests: log, metrics, traces."""
