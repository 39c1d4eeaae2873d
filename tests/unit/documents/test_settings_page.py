"""Compares the options and defaults in docs/settings.md with those that the configuration reads."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple

import pytest

from headgate.serve import command_parser
from headgate_server.config.gateway import (
    GatewaySettings,
    Route,
    TenantTokenSettings,
    UpstreamSettings,
)
from headgate_server.config.jwt import JwtSettings
from headgate_server.config.settings import Settings
from headgate_server.config.values import boolean, seconds
from support.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "settings.md").read_text("utf-8")
TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "duration",
    str: "string",
    tuple: "list",
}


class Row(NamedTuple):
    """A row of the tables in docs/settings.md: one option."""

    variable: str
    default: str
    kind: str


def rows(section: str) -> dict[str, Row]:
    """Returns the options in the table below the heading *section*, by key."""
    text = PAGE.partition(f"\n## `{section}`\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| `([\w-]+)` \| (\S+) \| (.+?) \| (\w+) \| .+ \|$", text, re.MULTILINE)
    assert len(cells) == len({key for key, *_ in cells}) == text.count("\n| `")
    return {key: Row(variable.strip("`"), *rest) for key, variable, *rest in cells}


def kind_of(option: Field[Any]) -> str:
    if option.metadata.get("words"):
        return "list"  # one text with several words
    return TYPES.get(type(option.default), "table")


def assert_default(key: str, row: Row, option: Field[Any]) -> None:
    """Asserts that the table's *row* has the default and the type of *option*."""
    assert row.kind == kind_of(option), key
    text, value = row.default.strip("`"), option.default
    match value:
        case bool():
            assert boolean(text == "true") is value and text in ("true", "false"), key
        case float():
            assert seconds(text) == value, key
        case int():
            assert int(text) == value, key
        case str() if value:
            assert text == value, key
        case _:
            assert text == "none" and (value is MISSING or not value or is_off(value)), key


def is_off(value: object) -> bool:
    """Returns whether *value* has the settings of tenant tokens, and they are disabled."""
    return isinstance(value, TenantTokenSettings) and not value.enabled


def variable(key: str) -> str:
    return "HEADGATE_" + re.sub("[.-]", "_", key).upper()


def options_of(kind: type) -> dict[str, Field[Any]]:
    """Returns the fields of the dataclass *kind* by their keys in the configuration file."""
    return {one.name.replace("_", "-"): one for one in fields(kind)}


@pytest.mark.parametrize("section", ["http", "store", "auth", "audit"])
def test_a_section_has_every_option_with_its_variable_type_and_default(section: str) -> None:
    known = {
        key.partition(".")[2]: (key, option)
        for option in fields(Settings)
        if (key := option.metadata.get("key", "")).startswith(f"{section}.")
    }
    shown = rows(f"[{section}]")
    if section == "http":
        own = Row("HEADGATE_HTTP_SHARED_SECRET_FILE", "none", "string")
        assert shown.pop("shared-secret-file") == own
    assert shown.keys() == known.keys()
    for name, (key, option) in known.items():
        assert shown[name].variable == variable(key)
        assert_default(key, shown[name], option)


def test_every_section_of_the_settings_has_a_table() -> None:
    keys = (option.metadata.get("key", "") for option in fields(Settings))
    assert {key.partition(".")[0] for key in keys if key} == {"http", "store", "auth", "audit"}


FILE_ONLY = Row("none", "none", "string")
# For each TOML table: its class, the options without a field, and the fields without an option.
TABLES: Mapping[str, tuple[type, Mapping[str, Row], set[str]]] = {
    "[auth.jwt]": (JwtSettings, {}, {"also"}),
    "[gateway]": (
        GatewaySettings,
        {
            "upstream": Row("HEADGATE_GATEWAY_UPSTREAM", "none", "list"),
            "protocol": Row("HEADGATE_GATEWAY_PROTOCOL", "none", "string"),
            "jwt": Row("none", "none", "table"),
        },
        {"upstreams"},
    ),
    "[[gateway.upstream]]": (
        UpstreamSettings,
        {
            "name": Row("none", "the protocol", "string"),
            "password-file": FILE_ONLY,
            "token-file": FILE_ONLY,
        },
        {"name"},
    ),
    "[gateway.upstream.jwt]": (
        TenantTokenSettings,
        {"secret": FILE_ONLY, "secret-file": FILE_ONLY},
        {"secrets"},
    ),
    "[[gateway.upstream.routes]]": (
        Route,
        {
            "methods": Row("none", "required", "list"),
            "paths": Row("none", "required", "list"),
            "privilege": Row("none", "required", "string"),
        },
        {"methods", "paths", "privilege"},
    ),
}


@pytest.mark.parametrize("section", TABLES)
def test_a_table_of_the_file_has_every_option_with_its_type_and_default(section: str) -> None:
    kind, further, no_options = TABLES[section]
    shown = rows(section)
    for key, row in further.items():
        assert shown.pop(key) == row, key
    known = options_of(kind)
    assert shown.keys() == known.keys() - no_options
    for key, row in shown.items():
        assert row.variable == "none"
        assert_default(key, row, known[key])


def test_every_flag_of_serve_is_listed() -> None:
    known = set(re.findall(r"(?<!\w)--[\w.-]+\w", command_parser().format_help())) - {"--help"}
    text = PAGE.partition("\n## Flags of `headgate serve`\n")[2]
    assert set(re.findall(r"(?<!\w)--[\w.-]+\w", text)) == known
