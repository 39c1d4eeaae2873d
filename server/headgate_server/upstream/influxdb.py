"""InfluxDB 1.x, 2.x and 3.x as upstream stores, by InfluxQL and line protocol.

The client's text is never forwarded. Headgate prints each statement from its authorized syntax
tree, and sends this text with the database for which the statement was authorized.
"""

import json
from dataclasses import replace
from functools import partial
from typing import ClassVar

from headgate_engine import Result, is_read_only
from headgate_grammar import (
    CreateDatabase,
    DropDatabase,
    ParseCache,
    ShowDatabases,
    Statement,
    unparse,
)
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.formats import ResultEncoder
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.upstream.adapter import ProbeRequest, ProxiedAPI
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.errors import UpstreamAuthError, UpstreamRejected
from headgate_server.upstream.influxql import (
    LOCAL_STATEMENTS,
    MAX_ANSWER_BYTES,
    ByteCounter,
    QueryOptions,
    decode_result,
    ignore_bytes,
)
from headgate_server.upstream.line_protocol import WriteTarget, write_lines
from headgate_server.upstream.option_checks import check_unsupported
from headgate_server.upstream.probe import send_probe
from headgate_server.upstream.response_checks import check_encoding, check_status
from headgate_server.upstream.upstream import Upstream

# The printed text of a longer statement is parsed again, to verify it, in a thread.
_MAX_INLINE_CHARS = 2000
_SHOW_DATABASES, _SHOW_USERS = b"q=SHOW+DATABASES", b"q=SHOW+USERS"
_UNSUPPORTED_OPTIONS = (
    *("overwrite_label", "max_labels", "label", "databases", "drop_foreign_data"),
    "components",
    "routes",
    "table",
    "tenants",
    "federation",
    "tenant_name",
)


class InfluxDBAdapter:
    """Adapts an InfluxDB. Headgate executes statements about users and grants itself.

    CREATE DATABASE and DROP DATABASE are sent to an InfluxDB 1.x only: since version 2, InfluxDB
    creates no databases by InfluxQL. The subclasses state what differs between the versions.
    """

    authorization_scheme: ClassVar[str] = "Bearer"
    version: ClassVar[str]
    creates_databases: ClassVar[bool] = False
    unsupported_options: ClassVar[tuple[str, ...]] = ("drop_data", *_UNSUPPORTED_OPTIONS)
    supports_influxql = True
    serves_prometheus_remote = False

    def __init__(self, upstream: Upstream, run: Run) -> None:
        self.upstream = upstream
        self._run = run
        self._parse = ParseCache()  # unbounded: a printed text may be longer than the original

    @property
    def influxql(self) -> "InfluxDBAdapter":
        """The adapter itself, which implements `InfluxQLStore`."""
        return self

    @property
    def proxied_api(self) -> ProxiedAPI | None:
        """None: Headgate answers InfluxDB's HTTP API itself."""
        return None

    @classmethod
    def check_settings(cls, settings: UpstreamSettings) -> None:
        """Raises ValueError for an option that this version does not support."""
        check_unsupported(settings, cls.unsupported_options)

    def is_local(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself, without the upstream store."""
        if isinstance(statement, CreateDatabase | DropDatabase):
            return not self.creates_databases
        return isinstance(statement, LOCAL_STATEMENTS)

    async def statement_text(self, statement: Statement, run: Run | None = None) -> str:
        """Returns the InfluxQL text of *statement*, as `verified_text` does.

        A long statement is printed and verified in a thread: by *run*, or else by the *run* of this
        adapter. Raises UnparseError, Overloaded.
        """
        verify = partial(self.verified_text, statement)
        short = len(str(statement)) <= _MAX_INLINE_CHARS
        return verify() if short else await (run or self._run)(verify)

    def verified_text(self, statement: Statement) -> str:
        """Returns the InfluxQL text of *statement*, which the upstream store can execute.

        The text is parsed again, and must yield a statement equal to *statement*. Otherwise the
        store could execute another statement than the authorized one, so UnparseError is raised.
        Thread-safe. Blocks while the text is parsed.
        """
        return unparse(statement, self._parse)

    async def send_statement(
        self, statement: Statement, options: QueryOptions, *, chunked: bool
    ) -> UpstreamResponse:
        """Sends *statement* and returns the response as soon as its head has arrived.

        Raises UpstreamRejected, UpstreamError, UnparseError, Overloaded.
        """
        reply = await self.upstream.send(
            "POST",
            options.target,
            options.headers(gzip=options.gzip),
            options.form(await self.statement_text(statement, options.run), chunked=chunked),
            idempotent=is_read_only(statement),
        )
        await check_status(reply)
        check_encoding(reply, ("", "identity", "gzip") if options.gzip else ("", "identity"))
        return reply

    async def execute(
        self, statement: Statement, options: QueryOptions, count_bytes: ByteCounter = ignore_bytes
    ) -> Result:
        """Sends *statement*, and returns its result decoded from JSON.

        Decoded numbers lose their spelling: the client receives `1.5` for `1.50`.
        *count_bytes* is called with the size of each chunk of the answer. Raises UpstreamRejected,
        UpstreamError, UnparseError, Overloaded.
        """
        headers = replace(options, media_type="application/json").headers(gzip=False)
        form = options.form(await self.statement_text(statement, options.run))
        reply = await self.upstream.send(
            "POST", options.target, headers, form, idempotent=is_read_only(statement)
        )
        await check_status(reply)
        check_encoding(reply, ("", "identity"))
        return decode_result(statement, await reply.read(MAX_ANSWER_BYTES, count_bytes))

    @property
    def recorded_name(self) -> str:
        """The empty text: nothing has to be recorded."""
        return ""

    async def has_data(self, name: str) -> bool:
        """Returns True: the store does not tell."""
        return True

    async def drop_refusal(self, name: str, *, exclusive: bool) -> str:
        """Returns "": every database may be dropped."""
        return ""

    async def databases(self) -> list[str]:
        """Returns the names of the store's databases. Raises UpstreamRejected, UpstreamError."""
        result = await self.execute(ShowDatabases(), QueryOptions(""))
        if result.error:
            raise UpstreamRejected(
                502, f"the upstream store does not list its databases: {result.error}"
            )
        return [str(row[0]) for series in result.series for row in series.values]

    async def write(
        self, request: Request, write_target: WriteTarget, max_bytes: int, encoder: ResultEncoder
    ) -> Response:
        """Forwards an authorized write of line protocol. Raises what `write_lines` raises."""
        target = write_target.path_and_query()
        return await write_lines(self.upstream, request, target, max_bytes, encoder)

    def probe_request(self) -> ProbeRequest:
        """Returns the HTTP request for SHOW DATABASES, which requires a login."""
        return ProbeRequest("POST", "/query", _SHOW_DATABASES)

    async def protocol_mismatch(self, address: str) -> str:
        """Returns why the store at *address* is not the configured InfluxDB, or "" if it is.

        Raises UpstreamError.
        """
        response = await send_probe(self.upstream, address, self.probe_request())
        version = response.header("X-Influxdb-Version").removeprefix("v")
        if version[:1].isdigit() and version.partition(".")[0] != self.version:
            return f"is InfluxDB {version}, expected {self.version}: see protocol"
        try:
            results = json.loads(response.body).get("results")
        except (ValueError, AttributeError):
            results = None
        if not isinstance(results, list):
            return f"does not answer as InfluxDB {self.version}: see protocol"
        return ""

    async def confinement_warning(self) -> str:
        """Returns "": each statement is sent with the database that it was authorized for."""
        return ""


class InfluxDB1Adapter(InfluxDBAdapter):
    """Adapts an InfluxDB 1.x. The login of Headgate must be an administrator's."""

    version = "1"
    creates_databases = True
    unsupported_options = _UNSUPPORTED_OPTIONS
    serves_prometheus_remote = True

    async def protocol_mismatch(self, address: str) -> str:
        """Returns why the store is not an InfluxDB 1.x with an administrator's login, or ""."""
        if problem := await super().protocol_mismatch(address):
            return problem
        try:
            request = ProbeRequest("POST", "/query", _SHOW_USERS)
            response = await send_probe(self.upstream, address, request)
        except UpstreamAuthError:
            return "does not accept this login as an administrator: see username"
        try:
            columns = json.loads(response.body)["results"][0]["series"][0]["columns"]
        except (ValueError, LookupError, TypeError):
            columns = None
        # VictoriaMetrics has the header of an InfluxDB, and answers any statement alike.
        if columns != ["user", "admin"]:
            return "does not answer SHOW USERS as InfluxDB 1 does: see protocol"
        return ""


class InfluxDB2Adapter(InfluxDBAdapter):
    """Adapts an InfluxDB 2.x, which uses the authorization scheme `Token`."""

    version = "2"
    authorization_scheme: ClassVar[str] = "Token"


class InfluxDB3Adapter(InfluxDBAdapter):
    """Adapts an InfluxDB 3.x."""

    version = "3"
