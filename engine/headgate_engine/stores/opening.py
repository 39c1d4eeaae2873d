"""Opens the user store at a location: a file, etcd or PostgreSQL. The only place that chooses."""

from collections.abc import Callable

from headgate_engine.errors import StoreError, StoreUnavailable
from headgate_engine.stores.audit_file import AuditFile
from headgate_engine.stores.base import Store
from headgate_engine.stores.location import (
    EtcdLocation,
    PostgresLocation,
    StoreOptions,
    is_url,
    parse_location,
)
from headgate_engine.stores.observer import StoreObserver
from headgate_engine.stores.shared.log import Log
from headgate_engine.stores.shared.position_slot import PositionSlot
from headgate_engine.stores.shared.state_mark import StateMark
from headgate_engine.stores.shared.store import SharedStore, create_store
from headgate_engine.stores.sqlite.store import SqliteStore

# A store that is away is tried for this long at the start.
_START_SECONDS = 10.0


def open_store(
    location: str,
    options: StoreOptions | None = None,
    *,
    create: bool = False,
    audit_file: AuditFile | None = None,
    observer: StoreObserver | None = None,
    report: Callable[[str], None] = lambda sentence: None,
    slot: PositionSlot | None = None,
) -> Store:
    """Returns the store at *location*, a path or a URL. The caller closes it.

    A missing file is created with *create*; a store at a URL is made by `create_store_at` alone.
    *audit_file* receives the audit records. *observer* is told of reads and changes, and *report*
    of faults in a sentence. *slot* is for several processes on one machine.

    Raises:
        StoreError: the store is missing, away, or cannot be used.
    """
    if not is_url(location):
        return SqliteStore(location, create=create, audit_file=audit_file, observer=observer)
    options = options or StoreOptions()
    _check_url(location)
    try:
        return _open_shared(location, options, audit_file, observer, report, slot)
    except StoreError as error:
        raise StoreError(f"store {location}: {error}") from None


def _open_shared(
    location: str,
    options: StoreOptions,
    audit_file: AuditFile | None,
    observer: StoreObserver | None,
    report: Callable[[str], None],
    slot: PositionSlot | None,
) -> SharedStore:
    return SharedStore(
        open_log(location, options),
        staleness=options.max_staleness,
        give_up=options.give_up,
        start_seconds=_START_SECONDS,
        report=report,
        observer=observer,
        audit_file=audit_file,
        mark=StateMark(options.state_file) if options.state_file else None,
        slot=slot,
    )


def create_store_at(location: str, options: StoreOptions | None = None) -> bool:
    """Makes an empty store at the URL *location*. Returns False if there is a store.

    Raises StoreError.
    """
    log = open_log(location, options or StoreOptions())
    try:
        return create_store(log)
    except (StoreError, StoreUnavailable) as error:
        raise StoreError(f"{location}: {error}") from None
    finally:
        log.close()


def _check_url(location: str) -> None:
    """Raises StoreError, without the URL: it may have a password."""
    try:
        parse_location(location)
    except ValueError as error:
        raise StoreError(str(error)) from None


def open_log(location: str, options: StoreOptions) -> Log:
    """Returns the log at the URL *location*, without a connection yet. Raises StoreError."""
    try:
        place = parse_location(location)
    except ValueError as error:
        raise StoreError(str(error)) from None
    # Importing the libraries takes some hundred milliseconds, and they are extras.
    try:
        if isinstance(place, EtcdLocation):
            return _open_etcd(place, options)
        return _open_postgres(place, options)
    except ModuleNotFoundError as error:
        extra = "etcd" if isinstance(place, EtcdLocation) else "postgres"
        raise StoreError(
            f"a store at this URL needs the module {error.name}: pip install 'headgate[{extra}]'"
        ) from None


def _open_etcd(location: EtcdLocation, options: StoreOptions) -> Log:
    from headgate_engine.stores.shared.etcd_client import EtcdAddress
    from headgate_engine.stores.shared.etcd_log import EtcdLog

    address = EtcdAddress(location.members, location.tls, options)
    return EtcdLog(address, location.prefix, options.max_writes, options.size_limit)


def _open_postgres(location: PostgresLocation, options: StoreOptions) -> Log:
    from headgate_engine.stores.shared.postgres_client import PostgresAddress
    from headgate_engine.stores.shared.postgres_log import PostgresLog

    address = PostgresAddress(location.url, options)
    return PostgresLog(address, primary_only=options.primary_only)
