"""The response to a query that is not authorized. It can be cached until the store changes."""

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
    """The user *name* may not execute *statement*: *requires* is the missing privilege."""

    reply: Reply
    name: str
    statement: str
    requires: str
    text: str

    def to(self, call: Call, service: Service) -> Reply:
        """Returns the response to *call*, and records the denial in the audit."""
        call.note.error = self.text
        service.recorder.refused(self.name, call.origin, self.statement, self.requires)
        return self.reply


def denial(
    service: Service, answers: Answers, principal: Principal, asked: Prepared
) -> Denied | None:
    """Returns why *principal* may not execute all statements of *asked*, or None if it may.

    Raises AccessDenied if there are no users yet.
    """
    try:
        service.engine.authorize(principal, asked.statements, asked.database)
    except NotAuthorized as error:
        row = REFUSALS[AccessDenied]
        reply = answers.refused(row, row.prefix + str(error), asked.format())
        requires = f"requires {error.need}"
        return Denied(reply, principal.name, error.statement, requires, str(error))
    return None
