"""VictoriaMetrics as upstream store: confines a request to one database.

In a single node, a database is a value of the label `db`. In a cluster, a database is an account. A
single node confines writes and queries by the parameter `extra_label`. This works only with exactly
one `extra_label` and without `extra_filters` (tested with 1.79). So Headgate removes these
parameters of a client, and sends its own `extra_label`.
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
from headgate_server.http.urlencoded import iterate_pairs
from headgate_server.upstream.errors import UpstreamRejected
from headgate_server.upstream.influxdb import (
    MAX_ANSWER_BYTES,
    ByteCounter,
    InfluxStore,
    QueryOptions,
    check_status,
    error_message,
    ignore_bytes,
)
from headgate_server.upstream.label_rewriting import DATABASE_LABEL, rename_in_columns
from headgate_server.upstream.query_string import encode_query, rewrite_query

_DATABASE_PARAMETERS = frozenset({"db", "extra_label", "extra_filters", "extra_filters[]"})
_FORM_HEADER = ("Content-Type", "application/x-www-form-urlencoded")
_CLUSTER_PATH_PATTERN = re.compile(r"/(insert|select)/([^/]+)/(influx|prometheus)(/.*)")
_PROMETHEUS_PATH, _INFLUX_PATH = "/prometheus", "/influx"


def with_label(query: bytes, database: str) -> str:
    """Returns the parameters *query*, confined to *database*.

    The client's own `db`, `extra_label` and `extra_filters` are removed. Headgate's own `db` and
    `extra_label` are added.
    """
    return rewrite_query(query, _names_database, [("db", database), *label_parameters(database)])


def with_label_and_columns(query: bytes, database: str) -> str:
    """Returns *query*, the parameters of a CSV import, confined to *database*.

    A column `db` in the parameter `format` is renamed, because the label `db` holds the database.
    """
    columns = [
        (name, rename_in_columns(value)) for name, value in iterate_pairs(query) if name == "format"
    ]
    fixed = [*columns, ("db", database), *label_parameters(database)]
    return rewrite_query(query, lambda name: name == "format" or _names_database(name), fixed)


def without_credentials(query: bytes) -> str:
    """Returns the parameters *query* without credentials, for a request confined by its path."""
    return rewrite_query(query, lambda name: False, [])


def form_without_label(form: bytes) -> str:
    """Returns *form*, parameters in a body, without the parameters that name a database.

    The URL names the database.
    """
    return rewrite_query(form, _names_database, [])


def label_parameters(database: str) -> tuple[tuple[str, str], ...]:
    """Returns the parameters that confine a write or a query to *database*."""
    return (("extra_label", f"{DATABASE_LABEL}={database}"),)


def _names_database(name: str) -> bool:
    return name.strip().lower() in _DATABASE_PARAMETERS


def single_node_path(path: str, settings: UpstreamSettings) -> tuple[str, str]:
    """Returns *path* as a path of a single node, and the database that *path* names.

    A path of a cluster, such as `/insert/1:2/influx/write`, names the database by its account
    `1:2`. If *settings* map no database to the account, returns the account as the database. If
    *path* has no account, returns *path* and "".
    """
    found = _CLUSTER_PATH_PATTERN.fullmatch(path)
    if found is None:
        return path, ""
    _, account, kind, rest = found.groups()
    named = [name for name, one in settings.tenants.items() if one == account]
    return (_INFLUX_PATH if kind == "influx" else _PROMETHEUS_PATH) + rest, named[
        0
    ] if named else account


def cluster_path(path: str, component: str, tenant: str) -> str:
    """Returns *path*, a path of a single node, as a path of the *component* of a cluster.

    *tenant* is the account in the cluster. For example, `/write` becomes `/insert/1:2/influx/write`
    for the component `insert` and the tenant `1:2`.
    """
    if path.startswith(_INFLUX_PATH) or path in ("/write", "/api/v2/write"):
        return f"/{component}/{tenant}{_INFLUX_PATH}{path.removeprefix(_INFLUX_PATH)}"
    return f"/{component}/{tenant}{_PROMETHEUS_PATH}{path.removeprefix(_PROMETHEUS_PATH)}"


class VictoriaStore(InfluxStore):
    """A VictoriaMetrics as upstream store, which does not support InfluxQL."""

    supports_influxql = False

    def is_local(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself, without the upstream store."""
        if isinstance(statement, DropDatabase):
            return not self.upstream.settings.drop_data
        return super().is_local(statement)

    async def execute(
        self, statement: Statement, options: QueryOptions, count_bytes: ByteCounter = ignore_bytes
    ) -> Result:
        """Executes DROP DATABASE: deletes the database's series by VictoriaMetrics' own API.

        SHOW MEASUREMENTS has an empty result, because Grafana sends it to test its login. The
        result of any other statement is the error `InfluxQLNotSupported`.
        """
        match statement:
            case DropDatabase(name):
                await self._delete_series(name)
                return Result(statement)
            case ShowMeasurements():
                return Result(statement)  # Grafana sends it to test its login
            case _:
                return Result(statement, error=str(InfluxQLNotSupported()))

    async def _delete_series(self, name: str) -> None:
        """Deletes all series of the database *name*. Raises UpstreamRejected, UpstreamError."""
        quoted = name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        selector = f'{{{DATABASE_LABEL}="{quoted}"}}'
        reply = await self.upstream.send(
            "POST",
            "/api/v1/admin/tsdb/delete_series",
            [_FORM_HEADER],
            encode_query([("match[]", selector)]).encode(),
        )
        await check_status(reply)
        reply.close()

    async def databases(self) -> list[str]:
        """Returns the databases in the store: the values of the label `db`.

        For a cluster, returns the databases with a configured account.
        Raises UpstreamRejected, UpstreamError.
        """
        if self.upstream.settings.components:
            return list(self.upstream.settings.tenants)
        reply = await self.upstream.send(
            "GET", f"/api/v1/label/{DATABASE_LABEL}/values", [], idempotent=True
        )
        await check_status(reply)
        body = await reply.read(MAX_ANSWER_BYTES)
        return decode_values(body)


def decode_values(body: bytes) -> list[str]:
    """Returns the strings in *body*, an answer of Prometheus' API. Raises UpstreamRejected."""
    try:
        found = json.loads(body)["data"]
    except (ValueError, LookupError, TypeError):
        raise UpstreamRejected(502, error_message(body)) from None
    return [one for one in found if isinstance(one, str)]


class InfluxQLNotSupported(StatementError):
    """The statement reads or changes data, and the store does not support InfluxQL."""

    def __init__(self) -> None:
        super().__init__("the upstream store speaks no InfluxQL: ask it by Prometheus' HTTP API")
