"""`headgate serve`: parses its flags, then starts the server or checks the configuration."""

import argparse
import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

from headgate.flags import CommandParser, double_dashes
from headgate_engine import StoreError
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.legacy_flags import InvalidFlags, add_flags, gateway_table
from headgate_server.config.loader import ConfigurationError
from headgate_server.config.settings import Settings
from headgate_server.serving import CertificateError, ListenError, problems, serve, warnings
from headgate_server.serving.process_title import show_arguments
from headgate_server.telemetry import logging as logs
from headgate_server.validation.configuration import configure
from headgate_server.validation.gateway import check_connections

_EPILOG = """\
Precedence: flag, environment (HEADGATE_HTTP_REALM; INFLUXDB_HTTP_REALM too), file, default.
A secret on the command line stays in your shell's history, and every user of the machine can
see it for a moment: prefer shared-secret-file in the configuration file, or the environment.
"""


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the flags of `headgate serve`."""
    parser = CommandParser(
        prog="headgate serve",
        description="Serve InfluxDB 1.x's HTTP API over a store of users, grants and databases.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add, default = parser.add_argument, Settings()
    add("--config", metavar="PATH", help="configuration file (TOML; accepts an influxdb.conf)")
    add(
        "--bind",
        metavar="HOST:PORT",
        dest="http.bind-address",
        help=f"address to listen on (default: {default.bind_address})",
    )
    add(
        "--store",
        metavar="PATH",
        dest="store.path",
        help=f"SQLite store file (default: {default.store_path})",
    )
    add(
        "--auth",
        action=argparse.BooleanOptionalAction,
        dest="http.auth-enabled",
        help="require authentication (default: yes)",
    )
    add(
        "--shared-secret",
        metavar="SECRET",
        dest="http.shared-secret",
        help="secret that signs JSON Web Tokens (default: none)",
    )
    add(
        "--realm",
        metavar="REALM",
        dest="http.realm",
        help=f"realm in WWW-Authenticate (default: {default.realm})",
    )
    add(
        "--max-body-size",
        metavar="BYTES",
        type=int,
        dest="http.max-body-size",
        help=f"largest body of a write (default: {default.max_body_size})",
    )
    add(
        "--workers",
        metavar="N",
        type=int,
        dest="http.workers",
        help=f"processes (default: {default.workers})",
    )
    add(
        "--upstream",
        metavar="URL",
        dest="gateway.upstream",
        help="URL of the upstream store (default: none)",
    )
    add(
        "--protocol",
        metavar="NAME",
        dest="gateway.protocol",
        help=f"protocol of the upstream store (default: {UpstreamSettings('').protocol})",
    )
    add(
        "--check",
        action="store_true",
        help="validate the configuration, report each problem, and exit (status 0: none, 1)",
    )
    add("--connect", action="store_true", help="with --check: connect to each upstream, too")
    add_flags(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate serve`, and returns its exit status.

    The status is 0 after SIGTERM, and 1 if the server cannot start. Invalid flags exit with
    status 2.
    """
    # All of Headgate's commands accept long flags with one dash.
    long_flags = double_dashes(arguments)
    show_arguments(long_flags)
    return run(long_flags, os.environ, serve)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], serve: Callable[[Settings], int]
) -> int:
    """Loads the settings from *arguments* and *environment*, then calls *serve*.

    With --check, checks the settings instead. Returns the exit status, as `main` does.
    """
    parser = command_parser()
    flags = vars(parser.parse_args(arguments))
    path, checking, connecting = (flags.pop(name) for name in ("config", "check", "connect"))
    if connecting and not checking:
        parser.error("--connect: expected --check beside it")
    timed = not checking
    logs.configure("text", access=False, timed=timed)  # until the configuration is loaded
    try:
        flags["gateway"] = gateway_table(flags)
        configuration = configure(flags, environment, path)
        settings = configuration.settings
        logs.configure(settings.log_format, access=settings.log_enabled, timed=timed)
        for notice in configuration.notices:
            logs.log_info(notice)
        for warning in configuration.warnings:
            logs.log_warning(warning)
        return (
            _check_configuration(settings, connecting=connecting) if checking else serve(settings)
        )
    except (ConfigurationError, InvalidFlags, StoreError, ListenError, CertificateError) as error:
        logs.log_error(str(error))
        return 1


def _check_configuration(settings: Settings, *, connecting: bool) -> int:
    """Logs each problem that would prevent a start with *settings*, and returns the exit status."""
    for warning in warnings(settings):
        logs.log_warning(warning)
    found = problems(settings)
    if connecting:
        found += asyncio.run(check_connections(settings.gateway))
    for problem in found:
        logs.log_error(problem)
    if not found:
        logs.log_info("configuration OK")
    return int(bool(found))
