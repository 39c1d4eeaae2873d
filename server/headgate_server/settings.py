"""What can be set, its type, and what it is if nobody sets it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """One server's settings. A field's section and key in the configuration are its metadata.

    Those of `http` are InfluxDB 1.x's; sizes are bytes.
    """

    bind_address: str = field(default="127.0.0.1:8086", metadata={"key": "http.bind-address"})
    auth_enabled: bool = field(default=True, metadata={"key": "http.auth-enabled"})
    shared_secret: str = field(default="", repr=False, metadata={"key": "http.shared-secret"})
    realm: str = field(default="InfluxDB", metadata={"key": "http.realm", "header": True})
    max_body_size: int = field(default=25_000_000, metadata={"key": "http.max-body-size"})
    ping_auth_enabled: bool = field(default=False, metadata={"key": "http.ping-auth-enabled"})
    reported_version: str = field(
        default="1.8.10", metadata={"key": "http.reported-version", "header": True}
    )
    workers: int = field(default=1, metadata={"key": "http.workers", "least": 1, "most": 64})
    store_path: str = field(default="headgate.db", metadata={"key": "store.path"})
    bcrypt_cost: int = field(
        default=10, metadata={"key": "auth.bcrypt-cost", "least": 4, "most": 14}
    )
    keep_last_admin: bool = field(default=True, metadata={"key": "auth.keep-last-admin"})

    def address(self) -> tuple[str, int]:
        """Host ("" for every interface) and port of `bind_address`. Raises ValueError."""
        host, colon, port = self.bind_address.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{self.bind_address!r} is no HOST:PORT")
        return host.removeprefix("[").removesuffix("]"), int(port)
