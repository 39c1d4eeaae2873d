"""HTTP clients for upstream stores, and the protocol of each kind of store."""
