"""The output formats `column` and `csv`, as influx, InfluxDB's own shell, prints them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headgate_shell.backends.base import Response
from headgate_shell.go_space import SPACE
from headgate_shell.output.tabwriter import align

Row = Sequence[str]

# Fields that Go's encoding/csv quotes. Python's csv treats leading white space differently.
_QUOTED_FIELD = re.compile(rf'^[{SPACE}]|[,"\r\n]|^\\\.$')


def format_columns(response: Response, width: Callable[[str], int] = len) -> str:
    """Returns *response* in aligned columns, with its messages first.

    *width* is how wide a text is shown; influx counts characters.

    A result has no header if its first series has the same name, tags and columns as the first
    series of the previous result.
    """
    messages: list[str] = []
    lines: list[Row] = []
    header = None
    for index, result in enumerate(response.results):
        for message in result.get("messages", ()):
            messages.append(f"{message['level']}: {message['text']}.\n")
        series = result.get("series", ())
        repeated = bool(series) and _series_header(series[0]) == header
        if series and not repeated:
            header = _series_header(series[0])
        if index > 0 and not repeated:
            lines.append(("",))
        for number, one in enumerate(series):
            if not repeated:
                lines.extend(_column_header(one, first=number == 0))
            lines.extend([cell_text(value) for value in row] for row in one.get("values", ()))
    return "".join(messages) + align(lines, width)


def format_csv(response: Response) -> str:
    """Returns *response* as CSV, with the name and tags of a series as the first columns.

    A result has no header if its first series has the same name, tags and columns as the first
    series of the previous result.
    """
    lines: list[Row] = []
    header = None
    for result in response.results:
        series = result.get("series", ())
        repeated = bool(series) and _series_header(series[0]) == header
        if series and not repeated:
            header = _series_header(series[0])
        for one in series:
            lead = _leading_columns(one)
            if not repeated:
                lines.append([*lead, *one["columns"]])
            for row in one.get("values", ()):
                lines.append([*lead.values(), *map(cell_text, row)])
    return "".join(",".join(map(_quote_csv_field, line)) + "\n" for line in lines)


def cell_text(value: object) -> str:
    """Returns a value as text: "" for null, numbers as the server wrote them."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _quote_csv_field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED_FIELD.search(text) else text


def _series_header(series: Mapping[str, Any]) -> tuple[object, ...]:
    return series.get("name", ""), series.get("tags", {}), series["columns"]


def _tags(series: Mapping[str, Any]) -> list[str]:
    return sorted(f"{name}={value}" for name, value in series.get("tags", {}).items())


def _leading_columns(series: Mapping[str, Any]) -> dict[str, str]:
    lead: dict[str, str] = {}
    if series.get("name"):
        lead["name"] = series["name"]
    if tags := _tags(series):
        lead["tags"] = ",".join(tags)
    return lead


def _column_header(series: Mapping[str, Any], *, first: bool) -> list[Row]:
    lines: list[Row] = [] if first else [("",)]
    if series.get("name"):
        lines.append((f"name: {series['name']}",))
    if tags := _tags(series):
        lines.append((f"tags: {', '.join(tags)}",))
    lines.append(series["columns"])
    # influx counts bytes for the dashes, and characters for the alignment.
    lines.append(["-" * len(column.encode()) for column in series["columns"]])
    return lines
