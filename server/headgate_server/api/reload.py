"""The endpoint /api/reload: reads the configuration again, as SIGHUP does."""

import os
from functools import partial

from headgate_server.api.accounts.requests import require_admin
from headgate_server.app_context import AppContext
from headgate_server.config.loader import ConfigurationError
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers
from headgate_server.telemetry.logging import log_info
from headgate_server.validation.configuration import reload_settings


async def reload(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Reloads the settings of tokens and gateway, and the certificate, for administrators.

    The status is 200 once they are in effect. With several workers it is 202: each worker reloads
    within a moment. After an invalid setting it is 400, and the former settings stay in effect.

    Raises what a login raises, NotAuthorized, CrossSiteRequest, BadRequest.
    """
    principal = await require_admin(request, context)
    try:
        await context.run_in_thread(partial(reload_settings, context.settings, os.environ))
        log_info(f"reload, as the administrator {principal.name!r} requires")
        context.status.reload()
    except ConfigurationError as error:
        raise BadRequest(str(error)) from None
    if context.status.reload_error:
        raise BadRequest(context.status.reload_error)
    several = context.settings.workers > 1
    content = {"status": "reloading" if several else "reloaded"}
    return Response(
        JsonEncoder().encode(content),
        202 if several else 200,
        content_headers(JsonEncoder.media_type),
    )
