"""One query on its way from its text to its answers, wherever its statements are executed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from headgate_engine import NotAuthorized, Principal, Result, changes
from headgate_grammar import ShowGrants, Statement
from headgate_server.call import Call
from headgate_server.formats import Answer
from headgate_server.logs import printed
from headgate_server.parameters import parameters
from headgate_server.service import Service
from headgate_server.text import readable

# So many statements may be executed between two other requests.
_FEW = 4


@dataclass(frozen=True, slots=True)
class Work:
    """One query, and for whom it is."""

    call: Call
    service: Service
    principal: Principal
    text: str = field(repr=False)
    params: str = field(repr=False)
    database: str

    def answers(self) -> Iterator[Answer]:
        """Parses and authorizes at once, executes here as the answers are taken.

        Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed.
        """
        statements = self.parsed()
        now = self.authorized(statements)
        results = self.service.engine.execute(statements, now, self.database, self.call.address)
        return (self.answer(id, result) for id, result in enumerate(results))

    def parsed(self) -> tuple[Statement, ...]:
        """Its statements. Raises BadRequest, ParseError."""
        statements = self.service.engine.parse(self.text, parameters(readable(self.params)))
        self.call.note.statements = printed(statements)
        return statements

    def authorized(self, statements: tuple[Statement, ...]) -> Principal:
        """Who it is now, if he may do all of *statements*. Raises AccessDenied,
        AuthenticationFailed.
        """
        engine = self.service.engine
        # The body may have taken its time: what counts is who he is now.
        now = engine.renew(self.principal)
        try:
            engine.authorize(now, statements, self.database)
        except NotAuthorized as error:
            self._record(error.statement, f"requires {error.need}")
            raise
        return now

    def answer(self, id: int, result: Result) -> Answer:
        """*result* of the statement in place *id*, counted and noted, as it goes to the client."""
        self.service.metrics.statement(result.statement, failed=bool(result.error))
        note = self.call.note
        if result.error and not note.error:  # those behind it are only `not executed`
            note.error = result.error
            if changes(result.statement):
                self._record(str(result.statement), result.error)
        if self.call.method == "GET" and not result.error and changes(result.statement):
            return Answer(id, result, _deprecated(result.statement))
        return Answer(id, result)

    def _record(self, statement: str, outcome: str) -> None:
        actor, address = self.principal.name, self.call.address
        self.service.recorder.refused(actor, address, statement, outcome)

    def known(self) -> tuple[Statement, ...] | None:
        """Its statements, if they are few and were parsed before."""
        if self.params:
            return None
        known = self.service.engine.parse.known(self.text)
        self.service.metrics.lookup("statement", known is not None)
        return known if known is not None and len(known) <= _FEW else None

    def quick(self) -> bool:
        """Whether it is done here sooner than a thread is woken."""
        known = self.known()
        return known is not None and all(map(_is_quick, known))


def _is_quick(statement: Statement) -> bool:
    """An indexed read."""
    return isinstance(statement, ShowGrants)


def _deprecated(statement: Statement) -> str:
    return (
        f"deprecated use of '{statement}' in a read only context, please use a POST request instead"
    )
