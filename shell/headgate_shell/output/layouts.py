"""Formats a response for reading: framed tables, one line per value, or Markdown."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from headgate_shell.backends.base import Response
from headgate_shell.output.control_characters import escaped
from headgate_shell.output.tables import cell


def table_text(response: Response) -> str:
    """Formats each series as a framed table below its name."""
    return "".join(map(_framed, _series(response)))


def vertical_text(response: Response) -> str:
    """Formats each value on a line of its own, with a heading line before each row."""
    return "".join(map(_upright, _series(response)))


def markdown_text(response: Response) -> str:
    """Formats each series as a Markdown table below its name."""
    return "".join(map(_markdown, _series(response)))


def _series(response: Response) -> Iterator[Mapping[str, Any]]:
    for result in response.results:
        yield from result.get("series", ())


def _title(series: Mapping[str, Any]) -> str:
    tags = ", ".join(f"{name}={value}" for name, value in sorted(series.get("tags", {}).items()))
    return " ".join(filter(None, (_shown(series.get("name", "")), _shown(tags))))


def _rows(series: Mapping[str, Any]) -> list[list[str]]:
    return [[_shown(value) for value in row] for row in series.get("values", ())]


def _shown(value: object) -> str:
    text = cell(value)
    # Data that one user wrote must not send escape sequences to another user's terminal.
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else escaped(one) for one in text)


def _framed(series: Mapping[str, Any]) -> str:
    rows = [list(map(_shown, series["columns"])), *_rows(series)]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    head, *body = (_line(row, widths) for row in rows)
    title = _title(series)
    count = f"({len(body)} row{'' if len(body) == 1 else 's'})\n"
    return (f"{title}\n" if title else "") + rule + head + rule + "".join(body) + rule + count


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True))
    return "| " + " | ".join(cells) + " |\n"


def _width(text: str) -> int:
    """Returns the number of terminal columns that *text* occupies."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _upright(series: Mapping[str, Any]) -> str:
    columns = list(map(_shown, series["columns"]))
    width = max(map(_width, columns), default=0)
    title = _title(series)
    text = f"{title}\n" if title else ""
    for number, row in enumerate(_rows(series), 1):
        text += f"-- row {number}\n"
        for name, value in zip(columns, row, strict=True):
            text += f"{name}{' ' * (width - _width(name))}  {value}\n"
    return text


def _markdown(series: Mapping[str, Any]) -> str:
    title = _title(series)
    columns = list(map(_shown, series["columns"]))
    lines = [columns, ["---"] * len(columns), *_rows(series)]
    rows = ("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |\n" for row in lines)
    return (f"**{title}**\n\n" if title else "") + "".join(rows) + "\n"


LAYOUTS: dict[str, Callable[[Response], str]] = {
    "table": table_text,
    "vertical": vertical_text,
    "markdown": markdown_text,
}
