"""HTTP messages: bytes and values. Neither users nor a store."""
