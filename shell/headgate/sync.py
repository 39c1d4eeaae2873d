"""`headgate sync`: registers the databases of upstream stores, such as InfluxDB.

Grants can then name these databases.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from headgate.flags import CommandParser
from headgate.store_file import opened
from headgate_engine import Engine, StoreError, StoreUnavailable
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.gateway.mount import Mount
from headgate_server.gateway.mounts import Gateway
from headgate_server.telemetry import logging as logs
from headgate_server.telemetry.metrics import Metrics
from headgate_server.telemetry.tracing import NoTracing
from headgate_server.upstream.errors import UpstreamError, UpstreamRejected
from headgate_server.validation.configuration import configure
from headgate_server.validation.gateway import check_protocol

T = TypeVar("T")


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate sync`."""
    parser = CommandParser(
        prog="headgate sync",
        description="Import the databases of the upstream stores into Headgate's catalog.",
    )
    add = parser.add_argument
    add("--config", metavar="PATH", help="the server's configuration file")
    add("--store", metavar="PATH", dest="store.path", help="the server's store file")
    add("--upstream", metavar="URL", dest="gateway.upstream", help="the upstream store")
    add("--protocol", metavar="NAME", dest="gateway.protocol", help="its protocol, influxdb1")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate sync`. Returns 1 if an upstream store fails or no upstream store is set."""
    flags = vars(command_parser().parse(arguments))
    logs.configure("text", access=False)
    try:
        settings = configure(flags, os.environ, flags.pop("config")).settings
        return asyncio.run(_sync(settings))
    except (ConfigurationError, StoreError, StoreUnavailable) as error:
        logs.log_error(str(error))
        return 1


async def _sync(settings: Settings) -> int:
    with opened(settings) as store:
        gateway = Gateway(settings.gateway, Engine(store), Metrics(), NoTracing(), _run_inline)
        try:
            mounts = [one for one in gateway.mounts if one.store is not None]
            if not mounts:
                logs.log_error(
                    "no upstream store that lists its databases: name one by --config or --upstream"
                )
                return 1
            return max([await _sync_store(mount) for mount in mounts])
        finally:
            await gateway.close()


async def _sync_store(mount: Mount) -> int:
    assert mount.store is not None
    name = mount.settings.name
    try:
        problems = await check_protocol(mount.adapter)
    except UpstreamError:
        problems = []  # `sync` logs it
    if problems:
        print(f"headgate: {name}: {problems[0]}; nothing was imported", file=sys.stderr)
        return 1
    try:
        result = await mount.store.catalog.sync()
    except UpstreamError:
        return 1  # logged by Upstream, with the address and the reason
    except UpstreamRejected as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    for database in result.imported:
        print(f"{name}: imported {database}")
    influxql = mount.adapter.influxql
    has_empty_databases = influxql is not None and influxql.supports_influxql
    missing = "is missing" if has_empty_databases else "has no data yet"
    for database in result.missing:
        print(f"{name}: {database} {missing} upstream")
    print(f"{name}: {len(result.imported)} imported, {len(result.missing)} missing upstream")
    return 0


async def _run_inline(work: Callable[[], T]) -> T:
    return work()
