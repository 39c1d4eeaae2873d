"""One query on its way from its text to its answers, wherever its statements are executed."""

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

# Of a statement in the audit, where one that an upstream executes is recorded each time.
_LONGEST_RECORDED = 1000


@dataclass(frozen=True, slots=True)
class QueryExecutor:
    """What every query is executed with. *run* runs a function in the threads of statements."""

    settings: Settings
    engine: Engine
    store: Store
    run: KeyedRun
    changes: Changes
    recorder: Recorder
    metrics: Metrics


@dataclass(slots=True)
class Work:
    """One query, and for whom it is."""

    call: Call
    executor: QueryExecutor
    principal: Principal
    text: str = field(repr=False)
    params: str = field(repr=False)
    database: str
    statements: Sequence[Statement] | None = None
    remembered: bool = False  # were they parsed before?
    _read: list[Statement] = field(default_factory=list, init=False)

    def answers(self) -> Iterator[Answer]:
        """Parses and authorizes at once, executes here as the answers are taken.

        Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed.
        """
        return self.executed(self.authorized())

    async def run(self, work: Callable[[], T]) -> T:
        """Returns what *work* returns in a thread, in which each user has a fair share.

        Raises Overloaded.
        """
        principal = self.principal
        return await self.executor.run(work, (principal.name or self.call.address,))

    def _parse(self, each: Callable[[Statement], None]) -> Sequence[Statement]:
        """Its statements, of which *each* is called with each before the next is read."""
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
        """Its statements, which `soon` or `authorized` has parsed."""
        assert self.statements is not None
        return self.statements

    def soon(self) -> Sequence[Statement] | None:
        """Its statements, if they are few, and known or parsed in no time."""
        if self.statements is None and not self.params:
            self.statements, self.remembered = parsed_soon(self.executor.engine.parse, self.text)
            if self.statements is not None:
                self.call.note.statements = printed(self.statements)
        return self.statements

    def quick(self) -> bool:
        """Whether it is done here sooner than a thread is woken."""
        statements = self.soon()
        return statements is not None and all(map(is_quick, statements))

    def authorized(self) -> Principal:
        """The principal as it is now, if it may do all of it: each statement is authorized before
        the next is parsed. Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed.
        """
        engine = self.executor.engine
        # The body may have taken its time: what counts is the user as it is now.
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
        """Raises AccessDenied, CrossSite, SetUpRefused."""
        self._read.append(statement)
        authorize(statement)
        if self.call.cross_site and not reads(statement):
            raise CrossSite
        if len(self._read) == 1 and self.principal == NOBODY:
            if not may_set_up(self.call, self.executor.settings):
                raise SetUpRefused

    async def record_forwarded(self, statement: Statement) -> None:
        """Records in the audit that *statement*, which changes something, is sent upstream.

        Raises Unavailable, which means that it must not be sent; Overloaded.
        """
        store, call = self.executor.store, self.call
        text = redact_urls(str(statement))
        if len(text) > _LONGEST_RECORDED:
            text = f"{text[:_LONGEST_RECORDED]} ({len(text)} characters)"
        record = Refused(audit_time(), self.principal.name, call.origin, text, FORWARDED)
        await self.run(partial(store.record, [record]))

    def record_failed(self, statement: Statement, error: str) -> None:
        """Records in the audit, a little later, that *statement* failed."""
        self._record(redact_urls(str(statement)), redact_urls(error))

    def _record(self, statement: str, outcome: str) -> None:
        actor, address = self.principal.name, self.call.origin
        self.executor.recorder.refused(actor, address, statement, outcome)

    def executed(self, now: Principal) -> Iterator[Answer]:
        """The answers, as they are taken, of what *now* was authorized for."""
        self.count()
        statements, address = self.parsed, self.call.origin
        results = self.executor.engine.execute(statements, now, self.database, address)
        for id, result in enumerate(results):
            yield self.answer(id, result)

    def change(self) -> Job | None:
        """What it does to the store, if it is one statement that is known or parsed in no time, and
        does nothing else. Raises AccessDenied, AuthenticationFailed.
        """
        statements = self.soon()
        if statements is None or not is_single_change(statements):
            return None
        return self.job(self.authorized())

    def job(self, now: Principal) -> Job | None:
        """The same of one that is known to be so, and *now* was authorized for."""
        (statement,) = self.parsed
        try:
            return self.executor.engine.change(statement, now, self.call.origin)
        except InvalidName:
            return None  # who executes it says so

    async def made(self, job: Job) -> Answer:
        """Its answer when *job* is durable. Raises Overloaded."""
        self.count()
        (statement,) = self.parsed
        try:
            await self.executor.changes.make(job)
        except StatementError as error:
            return self.answer(0, Result(statement, error=str(error)))
        return self.answer(0, Result(statement))

    def count(self) -> None:
        """For the figures: whether it was parsed before."""
        self.executor.metrics.lookup("statement", self.remembered)

    def answer(self, id: int, result: Result) -> Answer:
        """*result* of the statement in place *id*, counted and noted, as it goes to the client."""
        self.executor.metrics.statement(result.statement, failed=bool(result.error))
        note = self.call.note
        if result.error and not note.error:  # those behind it are only `not executed`
            note.error = result.error
            if not reads(result.statement):
                self.record_failed(result.statement, result.error)
        warns = self.call.method == "GET" and not result.error and changes(result.statement)
        return Answer(id, result, _deprecated(result.statement) if warns else "")


def is_single_change(statements: Sequence[Statement]) -> bool:
    """Whether they are one, which changes rights and does nothing else."""
    single = len(statements) == 1
    return single and isinstance(statements[0], Grant | Revoke | GrantAdmin | RevokeAdmin)


def _deprecated(statement: Statement) -> str:
    return (
        f"deprecated use of '{statement}' in a read only context, please use a POST request instead"
    )
