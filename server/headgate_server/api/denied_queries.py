"""The answer to who may not, worked out once: it is the same until his grants change."""

from dataclasses import dataclass

from headgate_engine import AccessDenied, NotAuthorized, Principal
from headgate_server.api.errors import REFUSALS
from headgate_server.api.responses import Answers
from headgate_server.app_context import Service
from headgate_server.http.request import Call
from headgate_server.http.response import Reply
from headgate_server.query.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Denied:
    """*name* may not execute *statement*, which *requires* what he has not."""

    reply: Reply
    name: str
    statement: str
    requires: str
    text: str

    def to(self, call: Call, service: Service) -> Reply:
        """The answer to *call*, recorded as each is."""
        call.note.error = self.text
        service.recorder.refused(self.name, call.origin, self.statement, self.requires)
        return self.reply


def denial(
    service: Service, answers: Answers, principal: Principal, asked: Prepared
) -> Denied | None:
    """Why *principal* may not do all of what is *asked*; None if he may. Raises AccessDenied where
    nobody is known yet.
    """
    try:
        service.engine.authorize(principal, asked.statements, asked.database)
    except NotAuthorized as error:
        row = REFUSALS[AccessDenied]
        reply = answers.refused(row, row.prefix + str(error), asked.format())
        requires = f"requires {error.need}"
        return Denied(reply, principal.name, error.statement, requires, str(error))
    return None
