"""One query on its way from its text to its answers, wherever its statements are executed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from headgate_engine import (
    InvalidName,
    Job,
    NotAuthorized,
    Principal,
    Result,
    StatementError,
    changes,
)
from headgate_grammar import Grant, GrantAdmin, Revoke, RevokeAdmin, Statement
from headgate_server.call import Call
from headgate_server.formats import Answer
from headgate_server.logs import printed
from headgate_server.parameters import parameters
from headgate_server.service import Service
from headgate_server.soon import is_quick, parsed_soon
from headgate_server.text import readable


@dataclass(slots=True)
class Work:
    """One query, and for whom it is."""

    call: Call
    service: Service
    principal: Principal
    text: str = field(repr=False)
    params: str = field(repr=False)
    database: str
    statements: Sequence[Statement] | None = None
    remembered: bool = False  # were they parsed before?

    def answers(self) -> Iterator[Answer]:
        """Parses and authorizes at once, executes here as the answers are taken.

        Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed.
        """
        self.parsed()
        return self.executed(self.authorized())

    def parsed(self) -> Sequence[Statement]:
        """Its statements. Raises BadRequest, ParseError."""
        if self.statements is None:
            parse = self.service.engine.parse
            known = parse.known(self.text) if not self.params else None
            self.remembered = known is not None
            if known is None:
                known = parse(self.text, parameters(readable(self.params)))
            self.statements = known
            self.call.note.statements = printed(known)
        return self.statements

    def soon(self) -> Sequence[Statement] | None:
        """Its statements, if they are few, and known or parsed in no time. Raises ParseError."""
        if self.statements is None and not self.params:
            self.statements, self.remembered = parsed_soon(self.service.engine.parse, self.text)
            if self.statements is not None:
                self.call.note.statements = printed(self.statements)
        return self.statements

    def quick(self) -> bool:
        """Whether it is done here sooner than a thread is woken. Raises ParseError."""
        statements = self.soon()
        return statements is not None and all(map(is_quick, statements))

    def authorized(self) -> Principal:
        """Who it is now, if he may do all of it. Raises AccessDenied, AuthenticationFailed."""
        # The body may have taken its time: what counts is who he is now.
        now = self.service.engine.renew(self.principal)
        try:
            self.service.engine.authorize(now, self.parsed(), self.database)
        except NotAuthorized as error:
            self._record(error.statement, f"requires {error.need}")
            raise
        return now

    def _record(self, statement: str, outcome: str) -> None:
        actor, address = self.principal.name, self.call.origin
        self.service.recorder.refused(actor, address, statement, outcome)

    def executed(self, now: Principal) -> Iterator[Answer]:
        """The answers, as they are taken, of what *now* was authorized for."""
        self.count()
        statements, address = self.parsed(), self.call.origin
        results = self.service.engine.execute(statements, now, self.database, address)
        for id, result in enumerate(results):
            yield self.answer(id, result)

    def change(self) -> Job | None:
        """What it does to the store, if it is one statement that is known or parsed in no time, and
        does nothing else. Raises ParseError, AccessDenied, AuthenticationFailed.
        """
        statements = self.soon()
        if statements is None or not is_single_change(statements):
            return None
        return self.job(self.authorized())

    def job(self, now: Principal) -> Job | None:
        """The same of one that is known to be so, and *now* was authorized for."""
        (statement,) = self.parsed()
        try:
            return self.service.engine.change(statement, now, self.call.origin)
        except InvalidName:
            return None  # who executes it says so

    async def made(self, job: Job) -> Answer:
        """Its answer when *job* is durable. Raises Overloaded."""
        self.count()
        (statement,) = self.parsed()
        try:
            await self.service.changes.make(job)
        except StatementError as error:
            return self.answer(0, Result(statement, error=str(error)))
        return self.answer(0, Result(statement))

    def count(self) -> None:
        """For the figures: whether it was parsed before."""
        self.service.metrics.lookup("statement", self.remembered)

    def answer(self, id: int, result: Result) -> Answer:
        """*result* of the statement in place *id*, counted and noted, as it goes to the client."""
        self.service.metrics.statement(result.statement, failed=bool(result.error))
        note = self.call.note
        if result.error and not note.error:  # those behind it are only `not executed`
            note.error = result.error
            if changes(result.statement):
                self._record(str(result.statement), result.error)
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
