"""VictoriaMetrics as upstream store: confines a request to one database.

In a single node, a database is a value of a label, which is `db` by default, or the labels that the
configuration lists for it. In a cluster, a database is an account. A single node confines writes
and queries by the parameters `extra_label`, one for each label. This works only without a second
`extra_label` for a label, and without `extra_filters` (tested with 1.79). So Headgate removes these
parameters of a client, and sends its own.
"""

import json
import re
from collections.abc import Sequence
from typing import ClassVar

from headgate_engine import Result, StatementError
from headgate_grammar import DropDatabase, ShowMeasurements, Statement, unparse
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.route import Route
from headgate_server.config.tenant_names import ACCOUNT_PATTERN
from headgate_server.formats import ResultEncoder
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.http.urlencoded import iterate_pairs
from headgate_server.upstream.adapter import BodyHandling, ProbeRequest
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.database_labels import (
    DATABASE_LABEL,
    DROPPED_PARAMETERS,
    LabelPairs,
    label_parameters,
    with_labels,
    with_labels_and_columns,
)
from headgate_server.upstream.errors import (
    ComponentNotConfigured,
    UpstreamProtocolError,
)
from headgate_server.upstream.influxql import (
    CATALOG_STATEMENTS,
    FORM_HEADER,
    LOCAL_STATEMENTS,
    MAX_ANSWER_BYTES,
    ByteCounter,
    QueryOptions,
    ignore_bytes,
)
from headgate_server.upstream.line_protocol import WriteTarget, write_lines
from headgate_server.upstream.probe import send_probe
from headgate_server.upstream.prometheus_data import decode_list, decode_values
from headgate_server.upstream.query_string import CREDENTIAL_NAMES, encode_query, rewrite_query
from headgate_server.upstream.response_checks import check_status
from headgate_server.upstream.upstream import Upstream
from headgate_server.upstream.victoria_options import check_options, label_renamer

_CLUSTER_PATH_PATTERN = re.compile(r"/(insert|select)/([^/]+)/(influx|prometheus)(/.*)")
_CLUSTER_STARTS = ("/insert/", "/select/")
_PROMETHEUS_PATH, _INFLUX_PATH = "/prometheus", "/influx"
_DISTANT_SECONDS = 4_102_444_800  # the year 2100, for data of the future
_BUILD_INFO_PATH = "/api/v1/status/buildinfo"


class VictoriaMetricsAdapter:
    """Adapts a single node or a cluster of VictoriaMetrics, which does not support InfluxQL."""

    authorization_scheme: ClassVar[str] = "Bearer"
    supports_influxql = serves_prometheus_remote = False
    serves_several_databases = has_tenant_header = False

    def __init__(self, upstream: Upstream, run: Run) -> None:
        self.upstream = upstream
        self._settings = settings = upstream.settings
        self._is_cluster = bool(settings.components)
        self._label = settings.label or DATABASE_LABEL
        self.label_renamer = label_renamer(settings)
        self._reads_labels = bool(self.label_renamer.names or self.label_renamer.most)

    @property
    def influxql(self) -> "VictoriaMetricsAdapter":
        """The adapter itself, which implements `InfluxQLStore` for a few statements."""
        return self

    @property
    def proxied_api(self) -> "VictoriaMetricsAdapter":
        """The adapter itself, which implements `ProxiedAPI`."""
        return self

    @classmethod
    def check_settings(cls, settings: UpstreamSettings) -> None:
        """Raises ValueError for an option that VictoriaMetrics does not support."""
        check_options(settings)

    # ---- InfluxQL and line protocol

    def is_local(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself, without the upstream store."""
        if isinstance(statement, DropDatabase):
            return not self._settings.drop_data
        return isinstance(statement, (*CATALOG_STATEMENTS, *LOCAL_STATEMENTS))

    def verified_text(self, statement: Statement) -> str:
        """Returns the text of *statement*. Raises UnparseError."""
        return unparse(statement)

    async def send_statement(
        self, statement: Statement, options: QueryOptions, *, chunked: bool
    ) -> UpstreamResponse:
        """Raises ComponentNotConfigured: no path of the store takes InfluxQL."""
        raise ComponentNotConfigured("")

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
                return Result(statement)
            case _:
                return Result(statement, error=str(InfluxQLNotSupported()))

    async def _delete_series(self, name: str) -> None:
        """Deletes all series of the database *name*. Raises UpstreamRejected, UpstreamError."""
        reply = await self.upstream.send(
            "POST",
            "/api/v1/admin/tsdb/delete_series",
            [FORM_HEADER],
            encode_query([("match[]", self._selector(name))]).encode(),
        )
        await check_status(reply)
        reply.close()

    async def databases(self) -> list[str]:
        """Returns the databases in the store: the values of the label, and those with own labels.

        For a cluster, returns the databases with a configured account.
        Raises UpstreamRejected, UpstreamError.
        """
        if self._is_cluster:
            return list(self._settings.tenants)
        reply = await self.upstream.send(
            "GET", f"/api/v1/label/{self._label}/values", [], idempotent=True
        )
        await check_status(reply)
        values = decode_values(await reply.read(MAX_ANSWER_BYTES))
        declared = self._settings.databases
        return [*declared, *(value for value in values if value not in declared)]

    # ---- dropping a database

    @property
    def recorded_name(self) -> str:
        """The name by which the user store records that this store had no data of a database.

        It is "" if nothing has to be recorded: DROP DATABASE deletes no data here. A record is void
        after a change of the label or of the addresses.
        """
        settings = self._settings
        return " ".join([settings.name, self._label, *settings.urls]) if settings.drop_data else ""

    async def has_data(self, name: str) -> bool:
        """Returns whether the store has data with the label of the database *name*, of any time.

        Raises UpstreamRejected, UpstreamError.
        """
        # VictoriaMetrics 1.79 takes the start 0 for a missing one, and searches the last minutes.
        span = [("start", "1"), ("end", str(_DISTANT_SECONDS))]
        query = encode_query([("match[]", self._selector(name)), *span, ("limit", "1")])
        # The index still has the labels of deleted series, but lists series much faster.
        for path in (f"/api/v1/label/{self._label}/values", "/api/v1/series"):
            reply = await self.upstream.send("GET", f"{path}?{query}", [], idempotent=True)
            await check_status(reply)
            try:
                if not decode_list(await reply.read(MAX_ANSWER_BYTES)):
                    return False
            except UpstreamProtocolError:
                return True  # a very long answer
        return True

    async def drop_refusal(self, name: str, *, exclusive: bool) -> str:
        """Returns why DROP DATABASE *name* must not be executed, or "".

        *exclusive* is whether the store had no data of the database when it was created. Raises
        UpstreamRejected, UpstreamError.
        """
        settings = self._settings
        if name in settings.databases:
            return f"the configuration has the labels of database {name}: it cannot be dropped"
        if not settings.drop_data or settings.drop_foreign_data or exclusive:
            return ""
        if not await self.has_data(name):
            return ""
        return (
            f"the store may have had data of database {name} before it was created here:"
            " set drop-foreign-data to delete it"
        )

    def _selector(self, name: str) -> str:
        """Returns the selector of the series whose label has the value *name*."""
        quoted = name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        return f'{{{self._label}="{quoted}"}}'

    def _labels(self, database: str) -> LabelPairs:
        """Returns the labels of the series of *database*."""
        declared = self._settings.databases.get(database)
        return tuple(declared.items()) if declared is not None else ((self._label, database),)

    async def write(
        self, request: Request, write_target: WriteTarget, max_bytes: int, encoder: ResultEncoder
    ) -> Response:
        """Forwards an authorized write of line protocol. Raises what `write_lines` raises.

        In a single node, Headgate sets the labels of the database, and renames a client's own.
        """
        if self._is_cluster:
            rename = None
            account = self._settings.tenants.get(write_target.database, "")
            target = f"/insert/{account}/influx{write_target.path_and_query()}"
        else:
            labels = self._labels(write_target.database)
            target = write_target.path_and_query(
                label_parameters(labels),
                names_database=labels == ((DATABASE_LABEL, write_target.database),),
            )
            rename = self.label_renamer.in_lines if self._reads_labels else None
        return await write_lines(
            self.upstream, request, target, max_bytes, encoder, "insert", rename
        )

    # ---- the store's own HTTP API

    def split_databases(self, path: str, query: bytes) -> tuple[str, list[str]]:
        """Returns *path* as a path of a single node, and the databases in *path* and *query*.

        A path of a cluster, such as `/insert/1:2/influx/write`, names the database by its account
        `1:2`. If no database is mapped to the account, the account counts as the database.
        """
        databases = _query_databases(query)
        found = _CLUSTER_PATH_PATTERN.fullmatch(path) if path.startswith(_CLUSTER_STARTS) else None
        if found is None:
            return path, databases
        _, account, kind, rest = found.groups()
        named = [name for name, one in self._settings.tenants.items() if one == account]
        prefix = _INFLUX_PATH if kind == "influx" else _PROMETHEUS_PATH
        return prefix + rest, [named[0] if named else account, *databases]

    def tenant(self, databases: Sequence[str]) -> str:
        """Returns the account of the only database in *databases*; "" for a single node.

        Raises BadRequest if the database has no account.
        """
        if not self._is_cluster or not databases:
            return ""
        account = self._settings.tenants.get(databases[0], "")
        if ACCOUNT_PATTERN.fullmatch(account) is None:
            raise BadRequest("the database has no account in this cluster")
        return account

    def upstream_target(
        self, route: Route, path: str, query: bytes, databases: Sequence[str], tenant: str
    ) -> str:
        """Returns the path and query to send.

        In a cluster, the path names the account *tenant*. In a single node, the query has the
        labels of the only database in *databases*.
        """
        if tenant:
            path = cluster_path(path, route.component, tenant)
            parameters = reencoded_without_credentials(query)
        elif route.format == "csv" and self._reads_labels:
            rename = self.label_renamer.in_columns
            parameters = with_labels_and_columns(query, self._labels(databases[0]), rename)
        elif route.privilege in ("READ", "WRITE"):
            parameters = with_labels(query, self._labels(databases[0]))
        else:
            parameters = reencoded_without_credentials(query)
        return f"{path}?{parameters}" if parameters else path

    def body_handling(self, route: Route, tenant: str) -> BodyHandling:
        """Returns what to do with the body of a request for *route*.

        A form is rewritten, because its parameters could name another database.
        """
        if route.privilege != "WRITE":
            return BodyHandling.REWRITE_FORM
        if tenant or not self._reads_labels:
            return BodyHandling.FORWARD
        return BodyHandling.REWRITE_LABELS

    def rewrite_form(self, form: bytes) -> bytes:
        """Returns *form* without the parameters that name a database: the URL names it."""
        return rewrite_query(form, DROPPED_PARAMETERS, []).encode()

    def content_type(self, route: Route, content_type: str) -> str:
        """Returns *content_type*, or another type for a write with a form or without a type.

        The other type is `application/octet-stream`. VictoriaMetrics reads no parameters from a
        body of this type.
        """
        if route.privilege == "WRITE" and ("form" in content_type.lower() or not content_type):
            return "application/octet-stream"
        return content_type

    # ---- health

    def probe_request(self) -> ProbeRequest:
        """Returns the HTTP request of a health check.

        A single node requires a login for this request. A cluster requires none for /health.
        """
        return ProbeRequest("GET", "/health" if self._is_cluster else _BUILD_INFO_PATH)

    async def protocol_mismatch(self, address: str) -> str:
        """Returns why the single node at *address* is not VictoriaMetrics, or "" if it is.

        Raises UpstreamError.
        """
        if self._is_cluster:
            return ""
        response = await send_probe(self.upstream, address, self.probe_request())
        try:
            data = json.loads(response.body)["data"]
        except (ValueError, LookupError, TypeError):
            return "does not answer as VictoriaMetrics: see protocol"
        if isinstance(data, dict) and data.get("revision"):
            return "is Prometheus, expected VictoriaMetrics: see protocol"
        return ""

    async def confinement_warning(self) -> str:
        """Returns "": each request names its database."""
        return ""


def reencoded_without_credentials(query: bytes) -> str:
    """Returns the parameters *query*, encoded anew, without the credentials for Headgate."""
    return rewrite_query(query, CREDENTIAL_NAMES, [])


def cluster_path(path: str, component: str, tenant: str) -> str:
    """Returns *path*, a path of a single node, as a path of the *component* of a cluster.

    *tenant* is the account in the cluster. For example, `/write` becomes `/insert/1:2/influx/write`
    for the component `insert` and the tenant `1:2`.
    """
    if path.startswith(_INFLUX_PATH) or path in ("/write", "/api/v2/write"):
        return f"/{component}/{tenant}{_INFLUX_PATH}{path.removeprefix(_INFLUX_PATH)}"
    return f"/{component}/{tenant}{_PROMETHEUS_PATH}{path.removeprefix(_PROMETHEUS_PATH)}"


def _query_databases(query: bytes) -> list[str]:
    """Returns the databases that the parameters `db` in *query* name.

    Without a parameter `db`, reads the parameters `bucket` of InfluxDB 2 instead: the part of each
    value before the first `/` is a database.
    """
    if b"db=" not in query and b"bucket=" not in query and b"%" not in query:
        return []
    pairs = list(iterate_pairs(query))
    named = [value for name, value in pairs if name == "db"]
    if not named:
        named = [value.partition("/")[0] for name, value in pairs if name == "bucket"]
    return named


class InfluxQLNotSupported(StatementError):
    """The statement reads or changes data, and the store does not support InfluxQL."""

    def __init__(self) -> None:
        super().__init__("the upstream store speaks no InfluxQL: ask it by Prometheus' HTTP API")
