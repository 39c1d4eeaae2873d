"""One query: parsing, authorization, execution by the engine, audit and metrics."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from headgate_engine import (
    ANONYMOUS,
    FORWARDED,
    DeniedAttempt,
    Engine,
    InvalidName,
    NotAuthorized,
    PendingTransaction,
    Principal,
    Result,
    StatementError,
    Store,
    is_read_only,
    is_write,
)
from headgate_grammar import ParseError, Statement, redact_urls
from headgate_server.auth.browser_logins import check_change
from headgate_server.auth.errors import SetUpForbidden
from headgate_server.auth.initial_setup import may_create_first_admin
from headgate_server.background.audit_writer import AuditWriter, audit_time
from headgate_server.background.group_commit import GroupCommit
from headgate_server.background.thread_pool import KeyedRun
from headgate_server.config.settings import Settings
from headgate_server.formats import StatementResult
from headgate_server.http.go_text import replace_invalid
from headgate_server.http.request import Request
from headgate_server.query.bound_parameters import parse_parameters
from headgate_server.query.cheap_parsing import is_cheap_to_parse, run_inline
from headgate_server.telemetry.access_log import format_statements
from headgate_server.telemetry.metrics import Metrics

T = TypeVar("T")

# Characters of a statement in its audit record. Each write that is sent upstream has one.
_MAX_AUDIT_CHARS = 1000


@dataclass(frozen=True, slots=True)
class QueryExecutor:
    """The objects that all queries of a worker process share. *store* is the user store.

    *run* runs a function in the statement thread pool.
    """

    settings: Settings
    engine: Engine
    store: Store
    run: KeyedRun
    group_commit: GroupCommit
    audit_writer: AuditWriter
    metrics: Metrics


@dataclass(slots=True)
class QueryExecution:
    """One request to /query: parses, authorizes and executes the statements in *text*.

    *params* is the request's parameter `params`, with values for `$name` in *text*. *statements* is
    None until *text* is parsed.
    """

    request: Request
    executor: QueryExecutor
    principal: Principal
    text: str = field(repr=False)
    params: str = field(repr=False)
    database: str
    statements: Sequence[Statement] | None = None
    from_cache: bool = False  # the statements came from the parse cache
    _checked_statements: list[Statement] = field(default_factory=list, init=False)

    def run(self) -> Iterator[StatementResult]:
        """Parses and authorizes the query, and returns an iterator that executes its statements.

        Each statement is executed when its result is requested. Raises BadRequest, ParseError,
        AccessDenied, CrossSiteRequest, SetUpForbidden, AuthenticationFailed.
        """
        return self.execute(self.authorize())

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Runs *work* in the statement thread pool, and returns its result.

        The threads are shared fairly among users, or among addresses if there is no user. Raises
        Overloaded, and what *work* raises.
        """
        principal = self.principal
        return await self.executor.run(work, (principal.name or self.request.address,))

    def _parse(self, check: Callable[[Statement], None]) -> Sequence[Statement]:
        """Calls *check* with each statement of the query, and returns the statements.

        If *check* raises an error for a statement of a long text, the rest is not parsed.
        """
        if self.statements is None:
            parse = self.executor.engine.parse
            cached = parse.cached(self.text) if not self.params else None
            if cached is not None:
                self.use_statements(cached, from_cache=True)
            elif self.parses_inline():
                self.use_statements(self._parse_short_text(check), from_cache=False)
            else:
                bound = parse_parameters(replace_invalid(self.params))
                self.use_statements(parse(self.text, bound, check), from_cache=False)
                return self.parsed_statements
        for statement in self.parsed_statements:
            check(statement)
        return self.parsed_statements

    def _parse_short_text(self, check: Callable[[Statement], None]) -> Sequence[Statement]:
        """Parses the query's text, which is short and not cached, and returns its statements.

        If the text is invalid, first calls *check* with each statement that stands before the
        error in the text. An error of *check* then takes the place of the ParseError.
        """
        found: list[Statement] = []
        try:
            return self.executor.engine.parse.parse_new(self.text, found.append)
        except ParseError:
            for statement in found:
                check(statement)
            raise

    def use_statements(self, statements: Sequence[Statement], *, from_cache: bool) -> None:
        """Sets *statements* as the parsed statements of the query, and of its access log entry.

        *from_cache* is True if they came from a cache, which the metrics count.
        """
        self.statements, self.from_cache = statements, from_cache
        self.request.log.statements = format_statements(statements)

    @property
    def parsed_statements(self) -> Sequence[Statement]:
        """The statements, after `authorize` has parsed them."""
        assert self.statements is not None
        return self.statements

    def parses_inline(self) -> bool:
        """Returns whether the query may be parsed in the event loop, or is parsed already."""
        return self.statements is not None or (not self.params and is_cheap_to_parse(self.text))

    def runs_inline(self) -> bool:
        """Returns whether the parsed query is cheap enough to be executed in the event loop."""
        return run_inline(self.parsed_statements, self.executor.store)

    def authorize(self) -> Principal:
        """Parses and authorizes all statements. Returns the principal with its current rights.

        A long text is parsed only up to the first statement that is denied. A denial is recorded in
        the audit log.
        Raises BadRequest, ParseError, AccessDenied, CrossSiteRequest, SetUpForbidden,
        AuthenticationFailed.
        """
        engine = self.executor.engine
        # The user may have changed while the body was received.
        current = engine.renew(self.principal)
        authorize = engine.authorizer(current, self.database)
        try:
            if not self._parse(partial(self._authorize_statement, authorize)):
                engine.authorize(current, (), self.database)
        except NotAuthorized as error:
            record_denial(self.executor.audit_writer, self.request, self.principal, error)
            raise
        finally:
            if self.statements is None:
                self.request.log.statements = format_statements(self._checked_statements)
        return current

    def _authorize_statement(
        self, authorize: Callable[[Statement], None], statement: Statement
    ) -> None:
        """Authorizes *statement*.

        Raises AccessDenied, CrossSiteRequest, ChangeByGet, SetUpForbidden.
        """
        self._checked_statements.append(statement)
        authorize(statement)
        if not is_read_only(statement):
            request = self.request
            check_change(self.principal, request.method, cross_site=request.cross_site)
        if len(self._checked_statements) == 1 and self.principal == ANONYMOUS:
            if not may_create_first_admin(self.request, self.executor.settings):
                raise SetUpForbidden

    async def record_upstream_write(self, statement: Statement) -> None:
        """Records in the audit log that *statement*, a write, will be sent upstream.

        Raises StoreUnavailable or Overloaded. In either case the statement must not be sent.
        """
        store, request = self.executor.store, self.request
        text = redact_urls(str(statement))
        if len(text) > _MAX_AUDIT_CHARS:
            text = f"{text[:_MAX_AUDIT_CHARS]} ({len(text)} characters)"
        record = DeniedAttempt(
            audit_time(), self.principal.name, request.audit_address, text, FORWARDED
        )
        await self.run_in_thread(partial(store.record_denied, [record]))

    def record_failure(self, statement: Statement, error: str) -> None:
        """Records in the audit log that *statement* failed with *error*. The record is buffered."""
        self._record(redact_urls(str(statement)), redact_urls(error))

    def _record(self, statement: str, outcome: str) -> None:
        actor, address = self.principal.name, self.request.audit_address
        self.executor.audit_writer.record_denied(actor, address, statement, outcome)

    def execute(self, principal: Principal) -> Iterator[StatementResult]:
        """Yields the results of the statements, which *principal* was authorized for.

        Each statement is executed when its result is requested.
        """
        self.count_cache_lookup()
        statements, address = self.parsed_statements, self.request.audit_address
        results = self.executor.engine.execute(statements, principal, self.database, address)
        for id, result in enumerate(results):
            yield self.statement_result(id, result)

    def pending_change(self, principal: Principal) -> PendingTransaction | None:
        """Returns the uncommitted change that the query's only statement makes to the user store.

        *principal* was authorized for the statement. Returns None in these cases, in which the
        caller executes the query as usual:

        - the query has several statements, or none;
        - the statement changes nothing, or hashes a password;
        - a name in the statement is invalid.
        """
        if len(self.parsed_statements) != 1:
            return None
        (statement,) = self.parsed_statements
        try:
            return self.executor.engine.pending_transaction(
                statement, principal, self.request.audit_address
            )
        except InvalidName:
            return None

    async def commit(self, change: PendingTransaction) -> StatementResult:
        """Commits *change*, and returns the result of its statement when the change is durable.

        A change that writes nothing is complete at once.

        Raises Overloaded.
        """
        self.count_cache_lookup()
        (statement,) = self.parsed_statements
        try:
            if not self.executor.engine.run_as_no_op(change):
                await self.executor.group_commit.commit(change)
        except StatementError as error:
            return self.statement_result(0, Result(statement, error=str(error)))
        return self.statement_result(0, Result(statement))

    def count_cache_lookup(self) -> None:
        """Counts in the metrics whether the statements came from the parse cache."""
        self.executor.metrics.lookup("statement", self.from_cache)

    def statement_result(self, id: int, result: Result) -> StatementResult:
        """Returns the `StatementResult` for *result*, the result of the statement with index *id*.

        Counts the statement in the metrics. Logs the query's first error, and records that error in
        the audit log if the statement changes something. If a GET request has changed something,
        the result has a warning.
        """
        self.executor.metrics.statement(result.statement, failed=bool(result.error))
        log = self.request.log
        if result.error and not log.error:  # errors after the first are only `not executed`
            log.error = result.error
            if not is_read_only(result.statement):
                self.record_failure(result.statement, result.error)
        warns = self.request.method == "GET" and not result.error and is_write(result.statement)
        return StatementResult(id, result, _deprecation_warning(result.statement) if warns else "")


def record_denial(
    audit_writer: AuditWriter, request: Request, principal: Principal, error: NotAuthorized
) -> None:
    """Records in the audit log that *principal* was denied the statement in *error*."""
    requires = f"requires {error.required}"
    audit_writer.record_denied(principal.name, request.audit_address, error.statement, requires)


def _deprecation_warning(statement: Statement) -> str:
    """Returns the warning of InfluxDB for a write statement in a GET request."""
    return (
        f"deprecated use of '{statement}' in a read only context, please use a POST request instead"
    )
