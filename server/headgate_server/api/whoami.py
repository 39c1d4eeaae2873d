"""/api/whoami: the authenticated user and their privileges."""

from headgate_engine import NOBODY
from headgate_server.app_context import Service
from headgate_server.auth.errors import Unauthenticated
from headgate_server.formats import Format, Json
from headgate_server.gateway.mount import Mounted
from headgate_server.http.request import Call
from headgate_server.http.response import Reply, typed


async def whoami(call: Call, service: Service, format: Format, mounted: Mounted | None) -> Reply:
    """Returns `{"name", "admin", "method", "grants": {database: privilege}}`.

    Grants of NO PRIVILEGES are omitted. For an issuer's token, `email`, `full_name`, `external_id`
    and `issuer` from the token are added. Raises what a login raises; Unauthenticated also while
    there are no users.
    """
    principal = await service.login(call)
    if principal == NOBODY:
        raise Unauthenticated("create admin user first or disable authentication")
    user = principal.user
    content = {
        "name": principal.name,
        "admin": principal.trusted or (user is not None and user.admin),
        "method": principal.method or "none",
        "grants": {
            database: str(privilege)
            for database, privilege in (user.grants if user is not None else {}).items()
            if privilege
        },
    }
    if (identity := principal.identity) is not None:
        content |= {"email": identity.email, "full_name": identity.full_name}
        content |= {"external_id": identity.subject, "issuer": identity.issuer}
    return Reply(Json().document(content), raw_headers=typed(Json.media_type))
