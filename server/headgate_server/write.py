"""/write: who may write where. The data itself has nowhere to go yet."""

from starlette.requests import Request
from starlette.responses import Response

from headgate_engine import Need, Principal, allows
from headgate_grammar import Privilege
from headgate_server.answer import Format
from headgate_server.form import body, pairs
from headgate_server.refusals import BadRequest, CannotWrite, DatabaseMissing, WriteDenied
from headgate_server.service import Service
from headgate_server.text import go_quote, readable


async def write(request: Request, service: Service, format: Format) -> Response:
    """Authorizes, then refuses: data is never accepted and dropped."""
    principal = await service.login(request)
    database = pairs(request.scope["query_string"]).get("db", "")
    if not database:
        raise BadRequest("database is required")
    _authorize(service, principal, database)
    async for _ in body(request, service.settings.max_body_size):
        pass  # read, so that the client hears the answer
    raise CannotWrite


def _authorize(service: Service, principal: Principal, database: str) -> None:
    """Raises WriteDenied; DatabaseMissing only to who may write to any database.

    InfluxDB tells everybody which databases there are.
    """
    user = principal.user
    need = Need(Privilege.WRITE, database)
    if user is not None and not allows(user, need):
        raise WriteDenied(
            f"{go_quote(user.name)} user is not authorized to write to database"
            f" {go_quote(database)}"
        )
    if user is None and not principal.trusted:
        raise WriteDenied(f"user is required to write to database {go_quote(database)}")
    if service.store.database(readable(database)) is None:
        raise DatabaseMissing(f"database not found: {go_quote(database)}")
