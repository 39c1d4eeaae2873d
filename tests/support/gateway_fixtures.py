"""Configures Headgate as a gateway to upstream stores, with two users and their databases."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from support.servers import Server

S = TypeVar("S", bound=Server)

ANN, BOB = ("ann", "Ann-pw-1"), ("bob", "Bob-pw-1")

# Two databases and two users. Each user has all privileges on one database only.
TWO = (
    "CREATE DATABASE a; CREATE DATABASE b;"
    "CREATE USER ann WITH PASSWORD 'Ann-pw-1'; CREATE USER bob WITH PASSWORD 'Bob-pw-1';"
    "GRANT ALL ON a TO ann; GRANT ALL ON b TO bob"
)


def configured(
    serve: Callable[..., S], folder: Path, upstreams: str, *flags: str, gateway: str = ""
) -> S:
    """Returns the server that *serve* starts with a configuration file, and *flags*.

    The file has the lines *gateway* in `[gateway]`, then the tables *upstreams*.
    """
    path = folder / "headgate.toml"
    path.write_text(f"[gateway]\n{gateway}\n{upstreams}")
    return serve("--config", str(path), *flags)


def upstream(protocol: str, **options: Any) -> str:
    """Returns a TOML table `[[gateway.upstream]]`; `_` in names of *options* becomes `-`."""
    tables = {name: value for name, value in options.items() if isinstance(value, dict)}
    lines = ["[[gateway.upstream]]", f'protocol = "{protocol}"']
    for name, value in options.items():
        if name not in tables:
            lines.append(f"{name.replace('_', '-')} = {json.dumps(value)}")
    for name, table in tables.items():
        lines.append(f"[gateway.upstream.{name.replace('_', '-')}]")
        lines += [
            f"{json.dumps(key.replace('_', '-') if name == 'jwt' else key)} = {json.dumps(value)}"
            for key, value in table.items()
        ]
    return "\n".join(lines) + "\n"
