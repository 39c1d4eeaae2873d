"""One query: parsing, authorization, execution by the engine, audit and metrics."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from headgate_engine import (
    FORWARDED,
    NOBODY,
    Engine,
    InvalidName,
    Job,
    NotAuthorized,
    Principal,
    Refused,
    Result,
    StatementError,
    Store,
    changes,
    reads,
)
from headgate_grammar import Grant, GrantAdmin, Revoke, RevokeAdmin, Statement, redact_urls
from headgate_server.auth.errors import SetUpRefused
from headgate_server.auth.initial_setup import may_set_up
from headgate_server.background.audit_writer import Recorder, audit_time
from headgate_server.background.group_commit import Changes
from headgate_server.background.thread_pool import KeyedRun
from headgate_server.config.settings import Settings
from headgate_server.formats import Answer
from headgate_server.http.errors import CrossSite
from headgate_server.http.go_text import readable
from headgate_server.http.request import Call
from headgate_server.query.bound_parameters import parameters
from headgate_server.query.cheap_parsing import is_quick, parsed_soon
from headgate_server.telemetry.logging import printed
from headgate_server.telemetry.metrics import Metrics

T = TypeVar("T")

# Characters of a statement in the audit. Each one that is sent upstream has a record of its own.
_LONGEST_RECORDED = 1000


@dataclass(frozen=True, slots=True)
class QueryExecutor:
    """The shared objects of all queries. *run* runs a function in the statement thread pool."""

    settings: Settings
    engine: Engine
    store: Store
    run: KeyedRun
    changes: Changes
    recorder: Recorder
    metrics: Metrics


@dataclass(slots=True)
class Work:
    """One query of *principal*, and the state of its execution."""

    call: Call
    executor: QueryExecutor
    principal: Principal
    text: str = field(repr=False)
    params: str = field(repr=False)
    database: str
    statements: Sequence[Statement] | None = None
    remembered: bool = False  # the statements came from the parse cache
    _read: list[Statement] = field(default_factory=list, init=False)

    def answers(self) -> Iterator[Answer]:
        """Parses and authorizes the query, and returns an iterator that executes its statements.

        Each statement is executed when its result is requested. Raises BadRequest, ParseError,
        AccessDenied, CrossSite, SetUpRefused, AuthenticationFailed.
        """
        return self.executed(self.authorized())

    async def run(self, work: Callable[[], T]) -> T:
        """Runs *work* in the statement thread pool, and returns its result.

        Users, or addresses without a user, share the threads fairly. Raises Overloaded, and what
        *work* raises.
        """
        principal = self.principal
        return await self.executor.run(work, (principal.name or self.call.address,))

    def _parse(self, each: Callable[[Statement], None]) -> Sequence[Statement]:
        """Returns the statements. Calls *each* with every statement before it parses the next."""
        if self.statements is None:
            parse = self.executor.engine.parse
            known = parse.known(self.text) if not self.params else None
            self.remembered = known is not None
            if known is None:
                bound = parameters(readable(self.params))
                self.statements = parse(self.text, bound, each)
                self.call.note.statements = printed(self.statements)
                return self.statements
            self.statements = known
            self.call.note.statements = printed(known)
        for statement in self.statements:
            each(statement)
        return self.statements

    @property
    def parsed(self) -> Sequence[Statement]:
        """The statements, after `soon` or `authorized` has parsed them."""
        assert self.statements is not None
        return self.statements

    def soon(self) -> Sequence[Statement] | None:
        """Returns the statements if they are few, and cached or cheap to parse, or None."""
        if self.statements is None and not self.params:
            self.statements, self.remembered = parsed_soon(self.executor.engine.parse, self.text)
            if self.statements is not None:
                self.call.note.statements = printed(self.statements)
        return self.statements

    def quick(self) -> bool:
        """Returns whether the query takes less time than waking a thread for it."""
        statements = self.soon()
        return statements is not None and all(map(is_quick, statements))

    def authorized(self) -> Principal:
        """Parses and authorizes all statements, and returns the principal with current rights.

        Each statement is authorized before the next is parsed. A denial is recorded in the audit.
        Raises BadRequest, ParseError, AccessDenied, CrossSite, SetUpRefused, AuthenticationFailed.
        """
        engine = self.executor.engine
        # The user may have changed while the body was received.
        now = engine.renew(self.principal)
        authorize = engine.authorizer(now, self.database)
        try:
            if not self._parse(partial(self._check, authorize)):
                engine.authorize(now, (), self.database)
        except NotAuthorized as error:
            self._record(error.statement, f"requires {error.need}")
            raise
        finally:
            if self.statements is None:
                self.call.note.statements = printed(self._read)
        return now

    def _check(self, authorize: Callable[[Statement], None], statement: Statement) -> None:
        """Authorizes *statement*. Raises AccessDenied, CrossSite, SetUpRefused."""
        self._read.append(statement)
        authorize(statement)
        if self.call.cross_site and not reads(statement):
            raise CrossSite
        if len(self._read) == 1 and self.principal == NOBODY:
            if not may_set_up(self.call, self.executor.settings):
                raise SetUpRefused

    async def record_forwarded(self, statement: Statement) -> None:
        """Records in the audit that the write statement *statement* is sent upstream.

        Raises Unavailable or Overloaded. In either case the statement must not be sent.
        """
        store, call = self.executor.store, self.call
        text = redact_urls(str(statement))
        if len(text) > _LONGEST_RECORDED:
            text = f"{text[:_LONGEST_RECORDED]} ({len(text)} characters)"
        record = Refused(audit_time(), self.principal.name, call.origin, text, FORWARDED)
        await self.run(partial(store.record, [record]))

    def record_failed(self, statement: Statement, error: str) -> None:
        """Records in the audit that *statement* failed. The audit writer buffers the record."""
        self._record(redact_urls(str(statement)), redact_urls(error))

    def _record(self, statement: str, outcome: str) -> None:
        actor, address = self.principal.name, self.call.origin
        self.executor.recorder.refused(actor, address, statement, outcome)

    def executed(self, now: Principal) -> Iterator[Answer]:
        """Yields the results of the statements, which *now* was authorized for.

        Each statement is executed when its result is requested.
        """
        self.count()
        statements, address = self.parsed, self.call.origin
        results = self.executor.engine.execute(statements, now, self.database, address)
        for id, result in enumerate(results):
            yield self.answer(id, result)

    def change(self) -> Job | None:
        """Authorizes the query, and returns its pending change, if it is only one change of rights.

        Returns None for any other query, or if the statement is neither cached nor cheap to parse.
        Raises AccessDenied, CrossSite, SetUpRefused, AuthenticationFailed.
        """
        statements = self.soon()
        if statements is None or not is_single_change(statements):
            return None
        return self.job(self.authorized())

    def job(self, now: Principal) -> Job | None:
        """Returns the pending change of a single-change query that *now* was authorized for.

        Returns None if it needs the usual execution, such as for an invalid name.
        """
        (statement,) = self.parsed
        try:
            return self.executor.engine.change(statement, now, self.call.origin)
        except InvalidName:
            return None  # the usual execution returns the error in the result

    async def made(self, job: Job) -> Answer:
        """Commits *job*, and returns the result of its statement when the change is durable.

        Raises Overloaded.
        """
        self.count()
        (statement,) = self.parsed
        try:
            await self.executor.changes.make(job)
        except StatementError as error:
            return self.answer(0, Result(statement, error=str(error)))
        return self.answer(0, Result(statement))

    def count(self) -> None:
        """Counts in the metrics whether the statements came from the parse cache."""
        self.executor.metrics.lookup("statement", self.remembered)

    def answer(self, id: int, result: Result) -> Answer:
        """Returns *result* for the client, as that of the statement with index *id*.

        Counts it in the metrics. The first error is logged, and also recorded in the audit unless
        the statement only reads. A change by GET has a warning.
        """
        self.executor.metrics.statement(result.statement, failed=bool(result.error))
        note = self.call.note
        if result.error and not note.error:  # errors after the first are only `not executed`
            note.error = result.error
            if not reads(result.statement):
                self.record_failed(result.statement, result.error)
        warns = self.call.method == "GET" and not result.error and changes(result.statement)
        return Answer(id, result, _deprecated(result.statement) if warns else "")


def is_single_change(statements: Sequence[Statement]) -> bool:
    """Returns whether *statements* is one statement, which only changes rights."""
    single = len(statements) == 1
    return single and isinstance(statements[0], Grant | Revoke | GrantAdmin | RevokeAdmin)


def _deprecated(statement: Statement) -> str:
    return (
        f"deprecated use of '{statement}' in a read only context, please use a POST request instead"
    )
