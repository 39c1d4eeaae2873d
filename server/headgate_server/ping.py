"""/ping: is the server there, and which version is it."""

from starlette.requests import Request
from starlette.responses import Response

from headgate_server.answer import Format, Json
from headgate_server.form import pairs
from headgate_server.service import Service


async def ping(request: Request, service: Service, format: Format) -> Response:
    """204, or the version as JSON with `verbose`; authenticated if `ping-auth-enabled` is set."""
    if service.settings.ping_auth_enabled:
        await service.login(request)
    verbose = pairs(request.scope["query_string"]).get("verbose", "")
    if verbose in ("", "0", "false"):
        return Response(status_code=204)
    body = Json().document({"version": service.settings.reported_version})
    return Response(body, media_type=Json.media_type)
