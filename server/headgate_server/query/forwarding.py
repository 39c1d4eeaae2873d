"""Executes a query on an upstream store: each statement runs in Headgate or in that store.

The statements run one after the other until the first error, as in a single InfluxDB.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from headgate_engine import (
    Audit,
    Database,
    NotAuthorized,
    Principal,
    RequiredPrivilege,
    Result,
    Tx,
    allows,
    is_read_only,
)
from headgate_grammar import (
    CreateDatabase,
    CreateSubscription,
    DropDatabase,
    Privilege,
    ShowContinuousQueries,
    ShowDatabases,
    ShowDiagnostics,
    ShowMeasurements,
    ShowQueries,
    ShowStats,
    Statement,
)
from headgate_server.formats import (
    CsvEncoder,
    JsonEncoder,
    ResultEncoder,
    SeveralStatements,
    StatementResult,
)
from headgate_server.gateway.result_filter import filter_readable
from headgate_server.query.executor import QueryExecution
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.logging import log_error
from headgate_server.upstream.adapter import InfluxQLStore
from headgate_server.upstream.catalog import Catalog
from headgate_server.upstream.errors import (
    UnexpectedResults,
    UpstreamProtocolError,
)
from headgate_server.upstream.influxql import QueryOptions, iter_documents
from headgate_server.upstream.memory_budget import Reservation
from headgate_server.upstream.relay import FORWARDING_ERRORS, prepend


@dataclass(slots=True)
class ForwardedQuery:
    """Executes one request to /query on the upstream store *store*.

    *execution* has the request, the user and the statements. *catalog* imports the names of the
    store's databases into the user store. *encoder* encodes the results in the client's format.
    *reservation* accounts for the memory of buffered results.
    """

    execution: QueryExecution
    store: InfluxQLStore
    catalog: Catalog
    encoder: ResultEncoder
    options: QueryOptions
    reservation: Reservation
    other_stores: Sequence[InfluxQLStore] = ()  # upstream stores that also receive DROP DATABASE
    all_stores: Sequence[InfluxQLStore] = ()  # upstream stores that may refuse DROP DATABASE
    chunked: bool = False
    statements: Sequence[Statement] = ()
    principal: Principal = field(init=False)
    listing_error: Exception | None = None  # why the upstream's databases could not be listed

    async def prepare(self) -> None:
        """Parses and authorizes all statements, and imports the databases that they name.

        The names of databases are imported into the user store, and only if the principal has full
        access. Raises what `QueryExecution.authorize` raises, and Overloaded.
        """
        execution = self.execution
        self.options = replace(self.options, run=execution.run_in_thread)
        # Parsing and authorization run in a thread, unless the statements are cached or cheap.
        if execution.parses_inline():
            self.principal = execution.authorize()
        else:
            self.principal = await execution.run_in_thread(execution.authorize)
        self.statements = execution.parsed_statements
        execution.count_cache_lookup()
        for statement in self.statements:
            if isinstance(statement, ShowMeasurements) and statement.any_database:
                await self._check_every_database(statement)
        try:
            await self.catalog.import_referenced(
                self.principal, self.statements, execution.database
            )
        except FORWARDING_ERRORS as error:
            # Statements that do not need the upstream's databases are executed nevertheless.
            self.listing_error = error
            log_error("databases upstream cannot be listed", error=log_message(error))
        if not self._has_database_privilege():
            # InfluxDB's SHOW QUERIES shows the request's database to other users.
            self.options = replace(self.options, database="", retention_policy="")

    async def _check_every_database(self, statement: Statement) -> None:
        """Raises NotAuthorized if the user may not read each database of the upstream store.

        The user store may lack some of these databases. Raises an error of FORWARDING_ERRORS.
        """
        user = self.principal.user
        if user is None or self.principal.has_full_access:
            return
        for name in await self.store.databases():
            if not allows(user, RequiredPrivilege(Privilege.READ, name)):
                raise NotAuthorized(user.name, str(statement), f"{Privilege.READ} on *")

    def _has_database_privilege(self) -> bool:
        """Returns whether the user has any privilege on the request's database."""
        user = self.principal.user
        return self.principal.has_full_access or (
            user is not None and bool(user.grants.get(self.options.database, Privilege.NONE))
        )

    async def encode_result(
        self, id: int, statement: Statement
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """Yields the chunks of the encoded result of *statement*, each with an error text.

        The text is "" except with the last chunk of a statement that failed.
        """
        if self.store.is_local(statement) or not self._passes_through(statement):
            answer = await self._run_statement(id, statement)
            yield self.encoder.encode_result(answer), answer.result.error
            return
        response = await self.store.send_statement(
            statement, replace(self.options, gzip=False), chunked=False
        )
        try:
            pieces = response.iter_chunks()
            first = await anext(pieces, b"")
            if isinstance(self.encoder, CsvEncoder) and not first.strip():
                answer = self.execution.statement_result(id, await self.fetch_result(statement))
                yield self.encoder.encode_result(answer), answer.result.error
                return
            splice = self.encoder.splice(id)
            several = self.encoder.multiple_statements_detector(chunked=False)
            async for chunk in prepend(first, pieces):
                if has_several_results(several, statement, chunk):
                    raise UnexpectedResults
                if ready := splice.feed(chunk):
                    yield ready, ""
            rest, error = splice.finish()
            self.execution.statement_result(id, Result(statement, error=error))
            yield rest, error
        except SeveralStatements:
            raise UnexpectedResults from None
        except ValueError:
            raise UpstreamProtocolError from None
        finally:
            response.close()

    async def run(self) -> None:
        """Executes all statements, and discards the results. Raises what `results` raises."""
        async for _ in self.results():
            pass

    async def results(self) -> AsyncGenerator[StatementResult, None]:
        """Yields the results as they arrive.

        Raises one of FORWARDING_ERRORS if the first statement fails upstream. Such an error of a
        later statement becomes the result of that statement.
        """
        failed = False
        for id, statement in enumerate(self.statements):
            if failed:
                yield self.not_executed_result(id, statement)
                continue
            try:
                async for answer in self._statement_results(id, statement):
                    failed = failed or bool(answer.result.error)
                    yield answer
            except FORWARDING_ERRORS as error:
                if id == 0:
                    raise
                failed = True
                yield self.error_result(id, statement, error)

    def not_executed_result(self, id: int, statement: Statement) -> StatementResult:
        """Returns the error `not executed` for *statement*, which follows a failed statement."""
        return self.execution.statement_result(id, Result(statement, error="not executed"))

    def error_result(self, id: int, statement: Statement, error: Exception) -> StatementResult:
        """Returns the result of *statement*, which failed with *error*."""
        return self.execution.statement_result(id, Result(statement, error=str(error)))

    # ---- one statement

    async def _statement_results(
        self, id: int, statement: Statement
    ) -> AsyncIterator[StatementResult]:
        """Yields the result of *statement*: in several parts if the upstream sends it in chunks."""
        if self.store.is_local(statement) or not self._passes_through(statement):
            yield await self._run_statement(id, statement)
        elif isinstance(self.encoder, JsonEncoder) and not self.options.pretty:
            async for answer in self._fetch_chunks(id, statement):
                yield answer
        else:
            reservation, parts, found = self.reservation.child(), list[bytes](), ""
            try:
                async for piece, error in self.encode_result(id, statement):
                    reservation.grow(len(piece))
                    parts.append(piece)
                    found = error
                encoded = b"".join(parts)
                parts.clear()
                yield StatementResult(id, Result(statement, error=found), encoded=encoded)
            finally:
                reservation.release()

    async def _run_statement(self, id: int, statement: Statement) -> StatementResult:
        if isinstance(statement, DropDatabase):
            if refusal := await self._drop_refusal(statement.name):
                result = Result(statement, error=refusal)
                return self.execution.statement_result(id, result)
        if isinstance(statement, CreateDatabase):
            return await self._create_database(id, statement)
        return await self._run_where_it_belongs(id, statement)

    async def _run_where_it_belongs(self, id: int, statement: Statement) -> StatementResult:
        return await (self._run_locally if self.store.is_local(statement) else self._run_upstream)(
            id, statement
        )

    async def _drop_refusal(self, name: str) -> str:
        """Returns why an upstream store refuses DROP DATABASE *name*, or ""."""
        database = await self._database(name)
        exclusive = database.exclusive_stores if database is not None else ()
        for store in self.all_stores:
            refusal = await store.drop_refusal(name, exclusive=store.recorded_name in exclusive)
            if refusal:
                return refusal
        return ""

    async def _create_database(self, id: int, statement: CreateDatabase) -> StatementResult:
        """Executes *statement*, and records which upstream stores had no data of the database.

        DROP DATABASE may later delete the data in these stores.
        """
        name, exclusive = statement.name, list[str]()
        recorded = [store for store in self.all_stores if store.recorded_name]
        if recorded and await self._database(name) is None:
            for store in recorded:
                with suppress(*FORWARDING_ERRORS):  # then the store counts as one with data
                    if not await store.has_data(name):
                        exclusive.append(store.recorded_name)
        result = await self._run_where_it_belongs(id, statement)
        if exclusive and not result.result.error:
            execution, principal = self.execution, self.principal.name
            text = f"-- {statement}: without data in {', '.join(exclusive)}"
            audit = Audit(principal, execution.request.audit_address, text)

            def record(tx: Tx) -> None:
                if (database := tx.database(name)) is not None:
                    tx.put_exclusive_stores(database, exclusive)

            transact = partial(execution.executor.engine.store.transact, record, audit)
            await execution.run_in_thread(transact)
        return result

    async def _database(self, name: str) -> Database | None:
        """Returns the database *name* of the user store, or None."""
        execution = self.execution
        return await execution.run_in_thread(
            partial(execution.executor.engine.store.database, name)
        )

    async def _run_locally(self, id: int, statement: Statement) -> StatementResult:
        """Executes *statement* in Headgate, in a thread."""
        if self.listing_error is not None and isinstance(statement, ShowDatabases):
            raise self.listing_error  # the list would lack the upstream's databases
        execution, principal = self.execution, self.principal
        if principal.user is None and id > 0:
            # The client has created the first administrator in the previous statement.
            principal = replace(principal, unrestricted=True)
        engine, address = execution.executor.engine, execution.request.audit_address

        def execute() -> Result:
            local = statement
            if isinstance(statement, CreateDatabase) and self.store.supports_influxql:
                if engine.store.database(statement.name) is not None:
                    local = replace(statement, policy=None)  # the upstream store has checked it
            (result,) = engine.execute((local,), principal, execution.database, address)
            return replace(result, statement=statement)

        return execution.statement_result(id, await execution.run_in_thread(execute))

    async def _run_upstream(self, id: int, statement: Statement) -> StatementResult:
        """Executes *statement* upstream, and parses its result.

        Used for writes, for results filtered for the user, and for stores without InfluxQL.
        """
        forwarded = not is_read_only(statement) and not isinstance(
            statement, CreateDatabase | DropDatabase
        )
        if forwarded:
            await self.execution.record_upstream_write(statement)
        try:
            result = await self.fetch_result(statement)
        except FORWARDING_ERRORS as error:
            if forwarded and id == 0:  # `error_result` records a later one
                self.execution.record_failure(statement, str(error))
            raise
        if isinstance(statement, DropDatabase):
            for other in self.other_stores:
                if not result.error:
                    result = await other.execute(statement, self.options)
        if isinstance(statement, CreateDatabase | DropDatabase) and not result.error:
            return await self._run_locally(id, statement)
        if isinstance(statement, CreateSubscription):
            result = replace(result, error=statement.redacted(result.error))
        user = self.principal.user
        if self._is_filtered(statement) and user is not None:
            # In a thread, because the filter parses other users' statements, which may be long.
            parse = self.execution.executor.engine.parse
            result = await self.execution.run_in_thread(
                partial(filter_readable, result, user, parse)
            )
        return self.execution.statement_result(id, result)

    async def fetch_result(self, statement: Statement) -> Result:
        """Executes *statement* upstream, and returns its parsed result."""
        reservation = self.reservation.child()
        try:
            return await self.store.execute(statement, self.options, reservation.grow)
        finally:
            reservation.release()

    async def _fetch_chunks(self, id: int, statement: Statement) -> AsyncIterator[StatementResult]:
        """Yields the result of a read-only *statement*, one item for each chunk from upstream."""
        response = await self.store.send_statement(
            statement, replace(self.options, gzip=False), chunked=True
        )
        several, reservation = (
            self.encoder.multiple_statements_detector(chunked=True),
            self.reservation.child(),
        )
        try:
            async for line in iter_documents(response.iter_chunks(), reservation):
                if several(line):
                    raise UnexpectedResults
                yield self._renumber(id, statement, line)
        finally:
            reservation.release()
            response.close()

    def _renumber(self, id: int, statement: Statement, document: bytes) -> StatementResult:
        try:
            encoded, error = self.encoder.renumber(document, id)
        except ValueError:
            raise UpstreamProtocolError from None
        answer = self.execution.statement_result(id, Result(statement, error=error))
        return replace(answer, encoded=encoded)

    def _is_filtered(self, statement: Statement) -> bool:
        """Returns whether the result of *statement* may have rows that the user must not see."""
        return not self.principal.has_full_access and isinstance(
            statement, ShowQueries | ShowContinuousQueries
        )

    def is_streamable(self, statement: Statement) -> bool:
        """Returns whether the upstream's response to *statement* can be streamed to the client."""
        return not self.store.is_local(statement) and self._passes_through(statement)

    def _passes_through(self, statement: Statement) -> bool:
        """Returns whether the client may receive the upstream's result unchanged."""
        readable = self.store.supports_influxql and is_read_only(statement)
        return readable and not self._is_filtered(statement)


def has_several_results(
    detect: Callable[[bytes], bool], statement: Statement, piece: bytes
) -> bool:
    """Returns whether *piece* contains the result of a statement other than *statement*.

    *detect* is a function that `multiple_statements_detector` has returned.
    """
    # SHOW STATS and SHOW DIAGNOSTICS return several tables, which CSV separates like results.
    return detect(piece) and not isinstance(statement, ShowStats | ShowDiagnostics)
