"""The HTTP server: sockets, TLS, client connections, and worker processes."""
