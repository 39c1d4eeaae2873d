"""The endpoint /api/whoami: returns the authenticated user and the user's privileges."""

from headgate_server.app_context import AppContext
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers


async def whoami(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns `{"name", "admin", "method", "grants": {database: privilege}}`.

    Grants of NO PRIVILEGES are omitted. After a login with a token of an issuer in `[auth.jwt]`,
    also returns `email`, `full_name`, `external_id` and `issuer` from the token. Raises what a
    login raises. Raises Unauthenticated while the user store has no users.
    """
    principal = await context.require_user(request)
    user = principal.user
    content = {
        "name": principal.name,
        "admin": principal.unrestricted or (user is not None and user.admin),
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
    return Response(
        JsonEncoder().encode(content), raw_headers=content_headers(JsonEncoder.media_type)
    )
