"""The endpoint at which a provider ends sessions (OpenID Connect Back-Channel Logout 1.0)."""

import hashlib
import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response

from headgate_server.app_context import AppContext
from headgate_server.auth.oauth.errors import AccessRefused, SignInRefused
from headgate_server.auth.oauth.sign_in import ProviderSignIn
from headgate_server.http.form import read_form
from headgate_server.http.request import Request
from headgate_server.telemetry.log_message import log_message

_MAX_FORM_BYTES = 256 * 1024
_TOKEN_SECONDS = 86_400  # that a token counts as used at most


async def end_sessions(page: StarletteRequest) -> Response:
    """Ends the sessions that the logout token names: by the provider's session, or its account."""
    request: Request
    context: AppContext
    request, context = page.scope["headgate"]
    registry = context.providers
    sign_in = registry.get(page.path_params["name"]) if registry is not None else None
    if registry is None or sign_in is None:
        raise HTTPException(404)
    name = sign_in.settings.name
    if not registry.admits_logout():
        context.metrics.sign_in.oauth(name, "logout", "refused")
        request.log.error = "too many logout tokens in a second"
        return JSONResponse({"error": "temporarily_unavailable"}, 429, {"Retry-After": "1"})
    try:
        revoked = await _end(request, context, sign_in)
    except SignInRefused as error:
        context.metrics.sign_in.oauth(name, "logout", "refused")
        request.log.error = log_message(error)
        status = 400 if error.status < 500 else error.status
        return JSONResponse({"error": "invalid_request"}, status)
    context.metrics.sign_in.oauth(name, "logout", "accepted")
    for _ in range(revoked):
        context.metrics.session("revoked_provider")
    return Response(status_code=200)


async def _end(request: Request, context: AppContext, sign_in: ProviderSignIn) -> int:
    form = (await read_form(request, {}, _MAX_FORM_BYTES, context.run_in_thread)).fields
    text = form.get("logout_token", "")
    if not sign_in.settings.is_openid or not text:
        raise AccessRefused("logout: no logout token")
    now = time.time()
    claims: Any = await (await sign_in.provider.verifier()).verify_logout(text, now)
    digest = hashlib.sha256(f"{sign_in.settings.issuer}\0{claims['jti']}".encode()).digest()
    # `exp` may lie beyond any date, but `_verified` accepts no token that is older than 10 minutes.
    ends = claims.get("exp")
    ends = ends + 120 if isinstance(ends, int | float) else now + _TOKEN_SECONDS
    ends_at = int(min(ends, now + _TOKEN_SECONDS))

    def end() -> int:
        if not context.store.upkeep(lambda tx: tx.use_token(digest, ends_at)):
            raise AccessRefused("logout token: used before")
        return context.engine.provider_sessions.end_by_sid(
            sign_in.settings.name,
            claims.get("sid") or "",
            sign_in.settings.identity_issuer,
            claims.get("sub") or "",
            request.audit_address,
        )

    return await context.run_in_thread(end)
