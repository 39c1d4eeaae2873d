"""Formats a response as JSON as influx, InfluxDB's own shell, prints it.

Empty members are left out, and characters are escaped as Go's encoding/json escapes them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from headgate_shell.backends.base import Response
from headgate_shell.output.numbers import Number

_HTML_CHARACTERS = re.compile("[<>&\u2028\u2029]")
# influx prints the flag `partial` of a series, but not that of a result.
_RESULT_KEYS = ("series", "messages", "error")
_SERIES_KEYS = ("name", "tags", "columns", "values", "partial")


def json_text(response: Response, *, pretty: bool) -> str:
    """Returns *response* as JSON with a line end; *pretty* indents by four spaces per level."""
    content: dict[str, Any] = {}
    if response.results:
        content["results"] = [_prune_result(result) for result in response.results]
    if response.error:
        content["error"] = response.error
    return _encode(content, "\n" if pretty else "") + "\n"


def _prune_result(result: Mapping[str, Any]) -> dict[str, Any]:
    content = {key: result[key] for key in _RESULT_KEYS if result.get(key)}
    if "series" in content:
        content["series"] = [
            {key: series[key] for key in _SERIES_KEYS if series.get(key)}
            for series in content["series"]
        ]
    return content


def _encode(value: object, line_start: str) -> str:
    """Returns *value* as JSON.

    *line_start* is a line end with the indentation of *value*, or "" for JSON on a single line.
    """
    inner = line_start + "    " if line_start else ""
    match value:
        case Number():
            return str(value)
        case str():
            return _HTML_CHARACTERS.sub(_escape, json.dumps(value, ensure_ascii=False))
        case Mapping() if value:
            colon = ": " if line_start else ":"
            members = (f"{_encode(key, '')}{colon}{_encode(value[key], inner)}" for key in value)
            return "{" + inner + ("," + inner).join(members) + line_start + "}"
        case Sequence() if value:
            members = (_encode(member, inner) for member in value)
            return "[" + inner + ("," + inner).join(members) + line_start + "]"
        case _:
            return json.dumps(value)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
