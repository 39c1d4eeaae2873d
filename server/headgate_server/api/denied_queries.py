"""The response to a query that is not authorized.

The response can be cached until the user store changes.
"""

from dataclasses import dataclass

from headgate_engine import AccessDenied, NotAuthorized, Principal
from headgate_server.api.error_statuses import ERROR_STATUSES
from headgate_server.api.response_builder import ResponseBuilder
from headgate_server.app_context import AppContext
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.query.prepared import PreparedQuery


@dataclass(frozen=True, slots=True)
class DeniedQuery:
    """A cacheable denial: the user *name* may not execute *statement*.

    *requires* names the missing privilege, for the audit. *text* is the error, for the log.
    """

    response: Response
    name: str
    statement: str
    requires: str
    text: str

    def respond(self, request: Request, context: AppContext) -> Response:
        """Returns the response to *request*, and records the denial in the audit."""
        request.log.error = self.text
        context.audit_writer.record_denied(
            self.name, request.audit_address, self.statement, self.requires
        )
        return self.response


def find_denial(
    context: AppContext, responses: ResponseBuilder, principal: Principal, prepared: PreparedQuery
) -> DeniedQuery | None:
    """Returns the denial if *principal* may not execute all statements of *prepared*.

    Returns None if *principal* may execute all of them. Raises AccessDenied if there are no users
    yet.
    """
    try:
        context.engine.authorize(principal, prepared.statements, prepared.database)
    except NotAuthorized as error:
        error_status = ERROR_STATUSES[AccessDenied]
        response = responses.error_response(
            error_status, error_status.prefix + str(error), prepared.format()
        )
        requires = f"requires {error.required}"
        return DeniedQuery(response, principal.name, error.statement, requires, str(error))
    return None
