"""The output formats `table` (framed), `vertical` (a line per value) and `markdown`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wcwidth import wcswidth

from headgate_shell.backends.base import Response
from headgate_shell.output.control_characters import escape_character
from headgate_shell.output.influx_formats import cell_text


def format_table(response: Response) -> str:
    """Formats each series as a framed table below its name."""
    return "".join(map(_format_table, _series(response)))


def format_vertical(response: Response) -> str:
    """Formats each value on a line of its own, with a heading line before each row."""
    return "".join(map(_format_vertical, _series(response)))


def format_markdown(response: Response) -> str:
    """Formats each series as a Markdown table below its name."""
    return "".join(map(_format_markdown, _series(response)))


def _series(response: Response) -> Iterator[Mapping[str, Any]]:
    for result in response.results:
        yield from result.get("series", ())


def _title(series: Mapping[str, Any]) -> str:
    tags = ", ".join(f"{name}={value}" for name, value in sorted(series.get("tags", {}).items()))
    return " ".join(filter(None, (_cell_text(series.get("name", "")), _cell_text(tags))))


def _rows(series: Mapping[str, Any]) -> list[list[str]]:
    return [[_cell_text(value) for value in row] for row in series.get("values", ())]


def _cell_text(value: object) -> str:
    text = cell_text(value)
    # Data that one user wrote must not send escape sequences to another user's terminal.
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else escape_character(one) for one in text)


def _format_table(series: Mapping[str, Any]) -> str:
    rows = [list(map(_cell_text, series["columns"])), *_rows(series)]
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    head, *body = (_table_line(row, widths) for row in rows)
    title = _title(series)
    count = f"({len(body)} row{'' if len(body) == 1 else 's'})\n"
    return (f"{title}\n" if title else "") + rule + head + rule + "".join(body) + rule + count


def _table_line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        text + " " * (width - display_width(text)) for text, width in zip(row, widths, strict=True)
    )
    return "| " + " | ".join(cells) + " |\n"


def display_width(text: str) -> int:
    """Returns the number of terminal columns that *text* occupies."""
    width = wcswidth(text)
    return width if width >= 0 else len(text)


def _format_vertical(series: Mapping[str, Any]) -> str:
    columns = list(map(_cell_text, series["columns"]))
    width = max(map(display_width, columns), default=0)
    title = _title(series)
    text = f"{title}\n" if title else ""
    for number, row in enumerate(_rows(series), 1):
        text += f"-- row {number}\n"
        for name, value in zip(columns, row, strict=True):
            text += f"{name}{' ' * (width - display_width(name))}  {value}\n"
    return text


def _format_markdown(series: Mapping[str, Any]) -> str:
    title = _title(series)
    columns = list(map(_cell_text, series["columns"]))
    lines = [columns, ["---"] * len(columns), *_rows(series)]
    rows = ("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |\n" for row in lines)
    return (f"**{title}**\n\n" if title else "") + "".join(rows) + "\n"


LAYOUTS: dict[str, Callable[[Response], str]] = {
    "table": format_table,
    "vertical": format_vertical,
    "markdown": format_markdown,
}
