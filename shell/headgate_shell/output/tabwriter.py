"""Cells aligned the way Go's text/tabwriter aligns them, with a padding of one blank."""

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """The lines of *rows*, each with a line end.

    A column is as wide as its widest cell in consecutive lines that have it, and a blank; the last
    cell of a line belongs to no column. A tab or line end in a cell begins another cell or line.
    """
    text = "".join("\t".join(row) + "\n" for row in rows)
    lines = [line.split("\t") for line in text.split("\n")[:-1]]
    widths: list[list[int]] = [[] for _ in lines]
    _measure(lines, widths)
    return "".join(_line(line, widths[number]) for number, line in enumerate(lines))


def _measure(lines: list[list[str]], widths: list[list[int]]) -> None:
    """Finds the widths: of each column in the lines that follow each other and have it."""
    waiting = [(0, 0, len(lines))]
    while waiting:
        column, number, end = waiting.pop()
        while number < end:
            if column >= len(lines[number]) - 1:
                number += 1
                continue
            first = number
            while number < end and column < len(lines[number]) - 1:
                number += 1
            width = max(len(line[column]) for line in lines[first:number]) + 1
            for found in widths[first:number]:
                found.append(width)
            waiting.append((column + 1, first, number))


def _line(line: list[str], widths: list[int]) -> str:
    padded = [text.ljust(width) for text, width in zip(line, widths, strict=False)]
    return "".join(padded) + "".join(line[len(widths) :]) + "\n"
