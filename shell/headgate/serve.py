"""`headgate serve`: parses its flags, then starts the server or checks the configuration."""

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from headgate.flags import CommandParser, double_dashes
from headgate_engine import StoreError
from headgate_server.config.effective import print_configuration
from headgate_server.config.legacy_flags import InvalidFlags, add_flags, gateway_table
from headgate_server.config.loader import SETTABLE, ConfigurationError
from headgate_server.config.option_fields import Option, OptionType
from headgate_server.config.settings import Settings
from headgate_server.serving.listeners import ListenError
from headgate_server.serving.process_title import show_arguments
from headgate_server.serving.startup_checks import problems, warnings
from headgate_server.serving.store_preparation import check_first_users
from headgate_server.serving.tls import CertificateError
from headgate_server.telemetry import logging as logs
from headgate_server.validation.configuration import configure

_EPILOG = """\
Precedence: flag, environment (HEADGATE_HTTP_REALM; INFLUXDB_HTTP_REALM too), file, default.
A secret on the command line stays in your shell's history, and every user of the machine can
see it for a moment: prefer shared-secret-file in the configuration file, or the environment.
"""


@cache
def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate serve`."""
    parser = CommandParser(
        prog="headgate serve",
        description="Serve InfluxDB 1.x's HTTP API over a store of users, grants and databases.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", metavar="PATH", help="configuration file (TOML; accepts an influxdb.conf)")
    for option in SETTABLE.values():
        if option.flag:
            _add_flag(parser, option)
    add(
        "--check",
        action="store_true",
        help="validate the configuration, report each problem, and exit (status 0: none, 1)",
    )
    add("--connect", action="store_true", help="with --check: connect to each upstream, too")
    add(
        "--print-config",
        action="store_true",
        help="print the effective configuration and the source of each value, and exit",
    )
    for action in add_flags(parser):
        parser.record(action)
    return parser


def _add_flag(parser: argparse.ArgumentParser, option: Option) -> None:
    """Adds the flag of *option* to *parser*, with the meaning and the default of the option."""
    default = "none" if option.default in ("", ()) else str(option.default).lower()
    if option.type is OptionType.STRING and option.default:
        default = option.default
    # The meaning is Markdown, with notes for docs/settings.md.
    meaning = re.sub(r" \(note \d+\)|`", "", option.doc).replace("%", "%%")
    help_text = f"{meaning[0].lower()}{meaning[1:]} (default: {default})"
    if option.type is OptionType.BOOLEAN:
        action = argparse.BooleanOptionalAction
        parser.add_argument(option.flag, action=action, dest=option.full_key, help=help_text)
    else:
        parser.add_argument(
            option.flag,
            metavar=option.metavar,
            type=int if option.type is OptionType.INTEGER else str,
            dest=option.full_key,
            help=help_text,
        )


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate serve`, and returns its exit status.

    The status is 0 after SIGTERM, and 1 if the server cannot start. Invalid flags exit with
    status 2.
    """
    # All of Headgate's commands accept long flags with one dash.
    long_flags = double_dashes(arguments)
    show_arguments(long_flags)
    return run(long_flags, os.environ, _serve)


def _serve(settings: Settings) -> int:
    # Imported on demand: `--check` and `--print-config` need no server.
    from headgate_server.serving.run import serve

    return serve(settings)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], serve: Callable[[Settings], int]
) -> int:
    """Loads the settings from *arguments* and *environment*, then starts the server by *serve*.

    With --check, checks the settings instead; with --print-config, prints them. Returns the exit
    status, as `main` does.
    """
    parser = command_parser()
    flags = vars(parser.parse(arguments))
    path, checking, connecting, printing = (
        flags.pop(name) for name in ("config", "check", "connect", "print_config")
    )
    if connecting and not checking:
        parser.error("--connect: expected --check beside it")
    if printing and checking:
        parser.error("--print-config and --check: expected one of them")
    timed = not (checking or printing)
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
        if printing:
            print(print_configuration(configuration), end="")
            return 0
        if checking:
            return _check_configuration(settings, environment, connecting=connecting)
        return serve(settings)
    except (ConfigurationError, InvalidFlags, StoreError, ListenError, CertificateError) as error:
        logs.log_error(str(error))
        return 1


def _check_configuration(
    settings: Settings, environment: Mapping[str, str], *, connecting: bool
) -> int:
    """Logs each problem that would prevent a start with *settings*; returns the exit status.

    *environment* may declare the first users. With *connecting*, it also tries to connect to the
    upstream stores.
    """
    for warning in warnings(settings):
        logs.log_warning(warning)
    found = problems(settings)
    try:
        check_first_users(settings, environment)
    except ConfigurationError as error:
        found.append(str(error))
    if connecting:
        # Imported on demand: only this check needs connections.
        import asyncio

        from headgate_server.validation.gateway import check_connections

        found += asyncio.run(check_connections(settings.gateway))
    for problem in found:
        logs.log_error(problem)
    if not found:
        logs.log_info("configuration OK")
    return int(bool(found))
