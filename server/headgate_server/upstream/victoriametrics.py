"""VictoriaMetrics: a database is the label `db` of its single node, or an account of its cluster.

`extra_label` overrides the labels in written data, and confines every query. Several of them, and
`extra_filters`, do not (all tested with 1.79). So exactly one is sent, which Headgate sets.
"""

import json
import re

from headgate_engine import Result, StatementError
from headgate_grammar import (
    DropDatabase,
    ShowMeasurements,
    Statement,
)
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.http.urlencoded import decoded_pairs
from headgate_server.upstream.errors import Answered
from headgate_server.upstream.influxdb import Asked, Grow, InfluxStore, check, error_text, uncounted
from headgate_server.upstream.label_rewriting import LABEL, in_columns
from headgate_server.upstream.query_string import encoded, rewritten

_WIDENING = frozenset({"db", "extra_label", "extra_filters", "extra_filters[]"})
_FORM = ("Content-Type", "application/x-www-form-urlencoded")
_CLUSTER_PATH = re.compile(r"/(insert|select)/([^/]+)/(influx|prometheus)(/.*)")
_PROMETHEUS, _INFLUX = "/prometheus", "/influx"
_LARGEST = 1 << 24


def confined(query: bytes, database: str) -> str:
    """Returns the parameters *query*, confined to *database*; other database names are removed."""
    return rewritten(query, _widens, [("db", database), *label(database)])


def confined_columns(query: bytes, database: str) -> str:
    """Returns *query*, the parameters of a CSV import, confined to *database*.

    A column for a label `db` is renamed.
    """
    columns = [
        (name, in_columns(value)) for name, value in decoded_pairs(query) if name == "format"
    ]
    fixed = [*columns, ("db", database), *label(database)]
    return rewritten(query, lambda name: name == "format" or _widens(name), fixed)


def freed(query: bytes) -> str:
    """Returns the parameters *query* without credentials, for a request confined by its path."""
    return rewritten(query, lambda name: False, [])


def narrowed(form: bytes) -> str:
    """Returns *form*, parameters in a body, without those that name a database: the URL has it."""
    return rewritten(form, _widens, [])


def label(database: str) -> tuple[tuple[str, str], ...]:
    """Returns the parameters that confine a write or a query to *database*."""
    return (("extra_label", f"{LABEL}={database}"),)


def _widens(name: str) -> bool:
    return name.strip().lower() in _WIDENING


def own_path(path: str, settings: UpstreamSettings) -> tuple[str, str]:
    """Returns *path* as a single node's path, and the database that a cluster's path names, or "".

    An account without a database in *settings* is returned as the database.
    """
    found = _CLUSTER_PATH.fullmatch(path)
    if found is None:
        return path, ""
    _, account, kind, rest = found.groups()
    named = [name for name, one in settings.tenants.items() if one == account]
    return (_INFLUX if kind == "influx" else _PROMETHEUS) + rest, named[0] if named else account


def cluster_path(path: str, component: str, tenant: str) -> str:
    """Returns the single node's *path* as the path of a cluster's *component* for *tenant*."""
    if path.startswith(_INFLUX) or path in ("/write", "/api/v2/write"):
        return f"/{component}/{tenant}{_INFLUX}{path.removeprefix(_INFLUX)}"
    return f"/{component}/{tenant}{_PROMETHEUS}{path.removeprefix(_PROMETHEUS)}"


class VictoriaStore(InfluxStore):
    """A VictoriaMetrics upstream. It has no list of databases: they are the values of a label."""

    speaks_influxql = False

    def is_ours(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself."""
        if isinstance(statement, DropDatabase):
            return not self.upstream.settings.drop_data
        return super().is_ours(statement)

    async def result(self, statement: Statement, asked: Asked, grow: Grow = uncounted) -> Result:
        """Executes DROP DATABASE by VictoriaMetrics' API; SHOW MEASUREMENTS has an empty result.

        Other statements return the error `NotSpoken`: the store does not support InfluxQL.
        """
        match statement:
            case DropDatabase(name):
                await self._delete(name)
                return Result(statement)
            case ShowMeasurements():
                return Result(statement)  # Grafana sends it to test its login
            case _:
                return Result(statement, error=str(NotSpoken()))

    async def _delete(self, name: str) -> None:
        """Deletes all series of the database *name*. Raises Answered, UpstreamError."""
        quoted = name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        selector = f'{{{LABEL}="{quoted}"}}'
        reply = await self.upstream.send(
            "POST",
            "/api/v1/admin/tsdb/delete_series",
            [_FORM],
            encoded([("match[]", selector)]).encode(),
        )
        await check(reply)
        reply.close()

    async def databases(self) -> list[str]:
        """Returns the databases that have data, or for a cluster those with a configured account.

        Raises Answered, UpstreamError.
        """
        if self.upstream.settings.components:
            return list(self.upstream.settings.tenants)
        reply = await self.upstream.send("GET", f"/api/v1/label/{LABEL}/values", [], again=True)
        await check(reply)
        body = await reply.read(_LARGEST)
        return values(body)


def values(body: bytes) -> list[str]:
    """Returns the strings in *body*, an answer of Prometheus' API. Raises Answered."""
    try:
        found = json.loads(body)["data"]
    except (ValueError, LookupError, TypeError):
        raise Answered(502, error_text(body)) from None
    return [one for one in found if isinstance(one, str)]


class NotSpoken(StatementError):
    """A statement about data for a store that does not support InfluxQL."""

    def __init__(self) -> None:
        super().__init__("the upstream store speaks no InfluxQL: ask it by Prometheus' HTTP API")
