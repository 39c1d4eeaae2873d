"""The settings of the user store: where it is, and how to use one that several machines share."""

from dataclasses import dataclass

from headgate_engine import StoreOptions, is_url
from headgate_server.config.http_settings import HTTPSettings
from headgate_server.config.option_fields import option


@dataclass(frozen=True, slots=True)
class StoreSettings(HTTPSettings):
    """The settings of `[store]`. All but *store_path* are for a store at a URL."""

    store_path: str = option(
        "Store file, created at the first start; or a URL: `etcd://`, `etcds://`, `postgresql://`",
        "headgate.db",
        section="store",
        key="path",
        flag="--store",
        metavar="PATH",
    )
    store_ca_file: str = option(
        "PEM file of the authorities of the store's certificates",
        "",
        section="store",
        key="ca-file",
        default_doc="the system's",
    )
    store_certificate_file: str = option(
        "PEM file of the client's certificate, which names its user",
        "",
        section="store",
        key="certificate-file",
    )
    store_private_key_file: str = option(
        "PEM file of that certificate's key", "", section="store", key="private-key-file"
    )
    store_user: str = option(
        "User at the store, instead of a certificate", "", section="store", key="user"
    )
    store_password: str = option(
        "That user's password",
        "",
        section="store",
        key="password",
        secret=True,
        file_doc="File with that password in its first line",
    )
    store_max_staleness: float = option(
        "How far reads may be behind other machines, 1s to 60s; later: 503",
        5.0,
        section="store",
        key="max-staleness",
    )
    store_timeout: float = option(
        "Time for one call to one member", 1.0, section="store", key="timeout"
    )
    store_give_up: float = option(
        "Time for a change, with all its tries", 5.0, section="store", key="give-up"
    )
    store_state_file: str = option(
        "Keeps how far the store had come: a start notices a store that went back",
        "",
        section="store",
        key="state-file",
    )
    store_max_writes: int = option(
        "Keys in one change; etcd's `--max-txn-ops` less 8",
        120,
        section="store",
        key="max-writes",
        least=16,
        most=100_000,
    )
    store_size_limit: int = option(
        "etcd's `--quota-backend-bytes`; from 80 % on, the audit is kept half as long",
        2 << 30,
        section="store",
        key="size-limit",
        least=1 << 20,
        most=1 << 40,
    )
    store_durability: str = option(
        "PostgreSQL: `replicated` needs a synchronous standby; `primary`: none",
        "replicated",
        section="store",
        key="durability",
        among=("replicated", "primary"),
    )

    @property
    def is_store_shared(self) -> bool:
        """Whether several machines may share the store."""
        return is_url(self.store_path)

    def store_options(self) -> StoreOptions:
        """Returns the options of the store."""
        return StoreOptions(
            ca_file=self.store_ca_file,
            certificate_file=self.store_certificate_file,
            private_key_file=self.store_private_key_file,
            user=self.store_user,
            password=self.store_password,
            max_staleness=self.store_max_staleness,
            timeout=self.store_timeout,
            give_up=self.store_give_up,
            state_file=self.store_state_file,
            max_writes=self.store_max_writes,
            size_limit=self.store_size_limit,
            primary_only=self.store_durability == "primary",
        )
