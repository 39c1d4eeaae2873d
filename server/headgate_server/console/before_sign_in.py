"""A page that a browser without a session may see."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request as StarletteRequest
from starlette.responses import Response

from headgate_server.console.rendering import render


async def show_before_sign_in(
    page: StarletteRequest, template: str, values: Mapping[str, Any], status: int = 200
) -> Response:
    """Returns the page of *template* with *values*, and with what all such pages say.

    That is the title and the host, whether the connection is encrypted, and whether there are no
    users yet. The page is made in a thread.
    """
    request, context = page.scope["headgate"]
    common = {
        "title": context.settings.console_title,
        "host": request.headers.get("host", ""),
        "is_encrypted": request.is_forwarded_https or context.cookies.is_secure(request),
        "is_local": request.address in ("127.0.0.1", "::1", "unix"),
    }

    def write() -> bytes:
        return render(template, {**common, **values, "is_empty": context.store.empty()})

    content = await context.run_in_thread(write)
    return Response(content, status, media_type="text/html")
