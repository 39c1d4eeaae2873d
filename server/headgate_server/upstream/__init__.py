"""HTTP and WebSocket clients for upstream stores, and the requests for each kind of store."""
