"""Row 11: how a flood of wrong passwords over 32 connections affects cached logins."""

import statistics
from pathlib import Path

from flood import LUA, run_beside_flood
from guessing import CachedLoginFigures
from rows import Bound, Row

from harness import Server


def flood(folder: Path, rounds: int) -> Row:
    """Measures rate and p99 beside a flood, relative to those without."""
    environment = {"HEADGATE_AUTH_BCRYPT_COST": "10", "HEADGATE_HTTP_LOG_ENABLED": "false"}
    script = folder / "flood.lua"
    script.write_text(LUA)
    server = Server(folder / "flood.db", environment=environment).start()
    alone, beside = CachedLoginFigures(), CachedLoginFigures()
    try:
        server.bootstrap("CREATE DATABASE db; CREATE USER todd WITH PASSWORD 's3cret'")
        assert server.query("SHOW DATABASES", ("todd", "s3cret")).status == 200
        for _ in range(rounds):
            alone.round(server.port)
            run_beside_flood(server.port, script, beside)
    finally:
        server.stop()
    late = [b / a for a, b in zip(alone.p99, beside.p99, strict=True)]
    rate = [b / a for a, b in zip(alone.rates, beside.rates, strict=True)]
    ratios = {
        "p99": (statistics.median(beside.p99) / statistics.median(alone.p99), min(late), max(late)),
        "rate": (
            statistics.median(beside.rates) / statistics.median(alone.rates),
            min(rate),
            max(rate),
        ),
    }
    figures = {"p99 without": alone.p99, "p99 beside it": beside.p99}
    bounds = [Bound("p99", maximum=3), Bound("rate", minimum=0.25)]
    return Row("11", "remembered logins beside a flood", "ms", figures, ratios, bounds)
