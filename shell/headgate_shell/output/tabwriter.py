"""Aligns cells like Go's text/tabwriter with a padding of one space."""

from collections.abc import Callable, Iterable, Sequence


def align(rows: Iterable[Sequence[str]], width: Callable[[str], int] = len) -> str:
    """Returns the lines of *rows*, each with a line end. *width* is how wide a text is shown.

    Cells at the same position in consecutive lines form a column, as wide as its widest cell plus
    one space. The last cell of a line is not padded and belongs to no column. A tab or line end
    inside a cell starts a new cell or line.
    """
    text = "".join("\t".join(row) + "\n" for row in rows)
    lines = [line.split("\t") for line in text.split("\n")[:-1]]
    widths: list[list[int]] = [[] for _ in lines]
    _measure_columns(lines, widths, width)
    return "".join(_pad_line(line, widths[number], width) for number, line in enumerate(lines))


def _measure_columns(
    lines: list[list[str]], widths: list[list[int]], width_of: Callable[[str], int]
) -> None:
    """Appends to *widths*, for each line, the widths of the columns that the line belongs to."""
    pending = [(0, 0, len(lines))]
    while pending:
        column, number, end = pending.pop()
        while number < end:
            if column >= len(lines[number]) - 1:
                number += 1
                continue
            first = number
            while number < end and column < len(lines[number]) - 1:
                number += 1
            width = max(width_of(line[column]) for line in lines[first:number]) + 1
            for found in widths[first:number]:
                found.append(width)
            pending.append((column + 1, first, number))


def _pad_line(line: list[str], widths: list[int], width_of: Callable[[str], int]) -> str:
    padded = [
        text + " " * (width - width_of(text)) for text, width in zip(line, widths, strict=False)
    ]
    return "".join(padded) + "".join(line[len(widths) :]) + "\n"
