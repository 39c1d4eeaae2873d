"""Measures and draws, as SVG, rate and latency of both servers by number of users."""

import math

from contest import AS_ROOT, INFLUXD, ONE_WORKER, warm_password_cache
from population import ROOT, Population
from rows import CONNECTIONS, Bench
from wrk import latency, rate, wrk

COUNTS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)
_COLOURS = {INFLUXD: "#8a8f98", ONE_WORKER: "#1f6feb"}
_LEFT, _TOP, _WIDTH, _HEIGHT, _GAP = 70, 40, 330, 230, 110

Points = dict[str, dict[int, tuple[float, float]]]


def curve(bench: Bench) -> Points:
    """Measures SHOW GRANTS for the last created user, by contestant and number of users.

    Each value is the rate per second and the p50 in microseconds.
    """
    points: Points = {INFLUXD: {}, ONE_WORKER: {}}
    for count in COUNTS:
        with bench.contest(Population(count)) as contest:
            with contest.running(INFLUXD, ONE_WORKER) as servers:
                path = f"/query?q=SHOW+GRANTS+FOR+u{count - 1}"
                for name, server in servers.items():
                    warm_password_cache(server, [ROOT])
                    output = wrk(server.port, bench.seconds, CONNECTIONS, path=path, header=AS_ROOT)
                    points[name][count] = (rate(output), latency(output, 50))
    return points


def draw(points: Points) -> str:
    """Returns two plots side by side, with logarithmic axes."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * (_LEFT + _WIDTH) + _GAP}'
        f' {_TOP + _HEIGHT + 80}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for index, (title, ends) in enumerate(
        [("requests a second", (100, 100_000)), ("median latency, microseconds", (100, 100_000))]
    ):
        left = _LEFT + index * (_WIDTH + _GAP)
        parts += _frame(left, title, ends)
        for name, values in points.items():
            found = {count: pair[index] for count, pair in values.items()}
            parts += _line(left, found, ends, _COLOURS[name])
    for index, (name, colour) in enumerate(_COLOURS.items()):
        label = name if name == INFLUXD else f"headgate, {name}"
        x, y = _LEFT + 150 * index, _TOP + _HEIGHT + 65
        parts.append(f'<rect x="{x}" y="{y - 9}" width="20" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 28}" y="{y}">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(left: float, count: float) -> float:
    return left + _WIDTH * math.log10(count) / math.log10(COUNTS[-1])


def _y(value: float, ends: tuple[float, float]) -> float:
    least, most = map(math.log10, ends)
    return _TOP + _HEIGHT * (most - math.log10(value)) / (most - least)


def _frame(left: float, title: str, ends: tuple[float, float]) -> list[str]:
    bottom, right = _TOP + _HEIGHT, left + _WIDTH
    parts = [f'<text x="{left}" y="{_TOP - 15}" font-weight="bold">{title}</text>']
    value = ends[0]
    while value <= ends[1]:
        y = _y(value, ends)
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#e1e4e8"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>')
        value *= 10
    for count in COUNTS:
        x = _x(left, count)
        name = f"{count // 1_000_000}M" if count >= 1_000_000 else f"{count // 1000}k"
        text = name if count >= 1000 else str(count)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
    middle = left + _WIDTH / 2
    parts.append(f'<text x="{middle}" y="{bottom + 38}" text-anchor="middle">users</text>')
    return parts


def _line(
    left: float, found: dict[int, float], ends: tuple[float, float], colour: str
) -> list[str]:
    places = [
        (_x(left, count), _y(min(max(value, ends[0]), ends[1]), ends))
        for count, value in found.items()
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]
