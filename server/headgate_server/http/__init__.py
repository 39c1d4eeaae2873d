"""HTTP messages: bytes and values, without users or a store."""
