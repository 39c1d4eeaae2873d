"""Answers queries for which there is no upstream store."""

from headgate_engine import NoUpstream, Result
from headgate_grammar import DropDatabase, Statement, unparse
from headgate_server.formats import ResultEncoder
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.errors import ComponentNotConfigured
from headgate_server.upstream.influxql import (
    CATALOG_STATEMENTS,
    LOCAL_STATEMENTS,
    ByteCounter,
    QueryOptions,
    ignore_bytes,
)
from headgate_server.upstream.line_protocol import WriteTarget


class NoUpstreamStore:
    """Implements `InfluxQLStore` without a store.

    A statement that needs data gets the error `NoUpstream`.

    DROP DATABASE succeeds, so that it still deletes data in other stores with `drop-data`.
    """

    supports_influxql = serves_prometheus_remote = False

    def is_local(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself, without the upstream store."""
        return isinstance(statement, (*CATALOG_STATEMENTS, *LOCAL_STATEMENTS))

    def verified_text(self, statement: Statement) -> str:
        """Returns the text of *statement*. Raises UnparseError."""
        return unparse(statement)

    async def send_statement(
        self, statement: Statement, options: QueryOptions, *, chunked: bool
    ) -> UpstreamResponse:
        """Raises ComponentNotConfigured: there is no upstream store."""
        raise ComponentNotConfigured("")

    async def execute(
        self, statement: Statement, options: QueryOptions, count_bytes: ByteCounter = ignore_bytes
    ) -> Result:
        """Returns an empty result for DROP DATABASE, else the error `NoUpstream`."""
        if isinstance(statement, DropDatabase):
            return Result(statement)
        return Result(statement, error=str(NoUpstream()))

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
        """Returns an empty list."""
        return []

    async def write(
        self, request: Request, write_target: WriteTarget, max_bytes: int, encoder: ResultEncoder
    ) -> Response:
        """Raises ComponentNotConfigured: there is no upstream store."""
        raise ComponentNotConfigured("")
