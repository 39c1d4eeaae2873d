"""Where a user store is: the path of a SQLite file, or the URL of an etcd or a PostgreSQL."""

import os
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

_ETCD_PORT = 2379
_SCHEMES = ("sqlite:", "file:", "etcd:", "etcds:", "postgres:", "postgresql:")


@dataclass(frozen=True, slots=True)
class EtcdLocation:
    """The keys below *prefix* in the etcd of *members*, each `host:port`. *tls*: by TLS."""

    members: tuple[str, ...]
    prefix: str
    tls: bool

    @property
    def is_local(self) -> bool:
        """Whether all members are on this machine, by their loopback addresses."""
        return all(_is_loopback(member.rpartition(":")[0]) for member in self.members)


@dataclass(frozen=True, slots=True)
class PostgresLocation:
    """The database of the *url*, as libpq takes it, on *hosts*. *tls*: a connection needs TLS."""

    url: str
    hosts: tuple[str, ...]
    tls: bool

    @property
    def is_local(self) -> bool:
        """Whether all hosts are this machine."""
        return all(_is_loopback(host) for host in self.hosts)


@dataclass(frozen=True, slots=True)
class StoreLogin:
    """How to log in at a store that several machines share.

    *ca_file* has the certificate authorities, by default the system's. *certificate_file* and
    *private_key_file* identify this client, or *user* and *password* do. *timeout* bounds one call
    to one member, in seconds.
    """

    ca_file: str = ""
    certificate_file: str = ""
    private_key_file: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 1.0


@dataclass(frozen=True, slots=True)
class StoreOptions(StoreLogin):
    """How to use a store that several machines share. A SQLite file needs none of it.

    Times are in seconds: reads are at most *max_staleness* behind other machines; *give_up* bounds
    a change with all its tries. *state_file* keeps how far the store had come: "" for none.
    *max_writes* is the number of keys in one change that etcd takes, and *size_limit* its quota in
    bytes. With *primary_only*, PostgreSQL may have no synchronous standby.
    """

    max_staleness: float = 5.0
    give_up: float = 5.0
    state_file: str = ""
    max_writes: int = 120
    size_limit: int = 2 << 30
    primary_only: bool = False


def is_url(location: str) -> bool:
    """Returns whether *location* is a URL. Otherwise it is the path of a SQLite file.

    A text such as `sqlite:users.db` counts as a URL, which `parse_location` rejects: it is meant as
    one.
    """
    return "://" in location or location.startswith(_SCHEMES)


def parse_location(location: str) -> EtcdLocation | PostgresLocation:
    """Returns what the URL *location* names.

    The URL is `etcd://host:port,host:port/prefix`, with `etcds` for TLS, or
    `postgresql://host:port,host:port/database?parameter=value` with libpq's parameters.

    Raises ValueError, with a sentence that has no password.
    """
    scheme, slashes, rest = location.partition("://")
    if not slashes:
        scheme = location.partition(":")[0]
        raise ValueError(
            f"unknown kind of store {scheme}: expected the path of a file, etcd://, etcds:// or"
            " postgresql://"
        )
    if scheme in ("postgresql", "postgres"):
        return _postgres(location)
    if scheme not in ("etcd", "etcds"):
        raise ValueError(
            f"unknown kind of store {scheme}://: expected a file, etcd://, etcds:// or postgresql://"
        )
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise ValueError(
            f"a URL {scheme}:// must not have a user or a password: use `user` and `password-file`"
        )
    if "?" in rest or "#" in rest:
        raise ValueError(f"a URL {scheme}:// must end with its prefix, as in {scheme}://host/name")
    prefix = unquote(path).strip("/")
    if not prefix:
        raise ValueError(f"the URL {location} has no prefix: add one, such as /headgate")
    members = tuple(_member(one, scheme) for one in authority.split(","))
    return EtcdLocation(members, f"/{prefix}/", scheme == "etcds")


def _postgres(location: str) -> PostgresLocation:
    rest = location.partition("://")[2]
    authority, _, path = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    parameters = parse_qs(path.partition("?")[2])
    secret = parameters.keys() & {"password", "sslpassword"}
    if ":" in user or secret or "@" in path.partition("?")[0]:
        raise ValueError(
            "a URL postgresql:// must not have a password: use `password-file`, or libpq's"
            " password file"
        )
    if not path.partition("?")[0]:
        raise ValueError("a URL postgresql:// must name a database, as in postgresql://host/name")
    names = [it.rpartition(":")[0] if _has_port(it) else it for it in hosts.split(",")]
    for name in ("host", "hostaddr"):
        names += ",".join(parameters.get(name, [])).split(",")
    if not any(names):
        names = [os.environ.get("PGHOST", ""), os.environ.get("PGHOSTADDR", "")]
    tls = parameters.get("sslmode", [""])[0] in ("require", "verify-ca", "verify-full")
    return PostgresLocation(location, tuple(filter(None, names)), tls)


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit() and not host.endswith("]")


def _is_loopback(host: str) -> bool:
    """Returns whether *host* is this machine; a path is that of a unix socket."""
    return host in ("localhost", "[::1]") or host.startswith(("127.", "/", "%2F"))


def _member(text: str, scheme: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or _ETCD_PORT
    except ValueError:
        host, port = None, 0
    if not host:
        raise ValueError(f"{text!r} in a URL {scheme}:// is no address: expected host:port")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
