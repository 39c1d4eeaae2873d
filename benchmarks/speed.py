"""Compares Headgate with influxd: the table of docs/performance.md, and its plot.

    PYTHONPATH=tests speed.py [--rounds 5] [--seconds 3] [--rows 1,2,...] [--json X] [--plot Y]

Needs Debian's influxdb and wrk. Rounds are interleaved, because other programs use the machine too.
Results are ratios. Exits with 1 if a row is out of its bounds.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from beside_flood import flood
from curve import curve, draw
from rows import Bench, Bound, Row


def _measurements(bench: Bench) -> dict[str, Callable[[], Row | list[Row]]]:
    """Returns the measurements by the numbers of their rows."""
    return {
        "1,5,7": bench.small,
        "2": bench.large,
        "3": lambda: [bench.grants(1, 1), bench.grants(100_000, 100)],
        "4": bench.creation,
        "6": bench.tokens,
        "8": bench.starts,
        "9": bench.memory,
        "10": bench.reads_beside_grants,
        "11": lambda: flood(bench.folder, bench.rounds),
    }


def main() -> int:
    """Runs the chosen rows; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=3)
    arguments.add_argument("--rows", default="")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--plot", type=Path)
    chosen = arguments.parse_args()
    for program in ("influxd", "wrk"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed (Debian: influxdb, wrk)")
    wanted = set(chosen.rows.split(",")) - {""}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), chosen.rounds, chosen.seconds)
        for numbers, work in _measurements(bench).items():
            if wanted and wanted.isdisjoint(numbers.split(",")):
                continue
            found = work()
            for row in found if isinstance(found, list) else [found]:
                rows.append(row)
                print("\n".join(_lines(row)), flush=True)
        if chosen.plot:
            points = curve(bench)
            chosen.plot.write_text(draw(points))
            print(json.dumps(points))
    if chosen.json:
        content = [asdict(row) | {"bounds": list(map(_format_bound, row.bounds))} for row in rows]
        chosen.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0 if all(row.within_bounds for row in rows) else 1


def _lines(row: Row) -> Sequence[str]:
    """Returns the lines of a row: its ratios, then its figures."""
    lines = [f"{row.number:>3}  {row.title}"]
    for name, (value, least, most) in row.ratios.items():
        bounds = [bound for bound in row.bounds if bound.contestant == name]
        wanted = ", ".join(map(_format_bound, bounds))
        fits = all(bound.minimum <= value <= bound.maximum for bound in bounds)
        mark = ("" if fits else "  OUT OF BOUNDS") if wanted else ""
        lines.append(f"       {name:24} {value:8.2f} ({least:.2f} to {most:.2f})  {wanted}{mark}")
    for name, values in row.figures.items():
        middle = sorted(values)[len(values) // 2]
        between = f"{min(values):.6g} to {max(values):.6g}"
        lines.append(f"         {name:22} {middle:10.6g} {row.unit} ({between})")
    return lines


def _format_bound(bound: Bound) -> str:
    return f"at least {bound.minimum:g}" if bound.minimum else f"at most {bound.maximum:g}"


if __name__ == "__main__":
    sys.exit(main())
