"""The endpoints by which a terminal signs a person in: on another device, or by a browser."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from headgate_engine import AuthenticationFailed, Principal
from headgate_server.api.accounts.requests import json_response, member, read_json_object
from headgate_server.api.accounts.sessions import begin_session, check_origin
from headgate_server.app_context import AppContext
from headgate_server.auth.errors import TooManyDevices, TooManyFailures
from headgate_server.auth.oauth.errors import AccessRefused, SignInRefused
from headgate_server.auth.terminal_code import (
    CODE_SECONDS,
    GRANT_SECONDS,
    TerminalGrant,
    credential_of,
    opened_grant,
)
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.eager_batch import enter_task
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response

if TYPE_CHECKING:
    from headgate_server.auth.oauth.registry import ProviderRegistry
    from headgate_server.auth.oauth.sign_in import ProviderSignIn

_NO_USERS = "create admin user first or disable authentication"
_INVALID_CODE = "this code is not valid, or no longer: sign in again"
# The time that a used code or handle stays known, longer than it would be valid.
_KNOWN_SECONDS = GRANT_SECONDS + CODE_SECONDS + 60


async def sign_in_by_device(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Begins a sign-in on another device, or asks whether the person has approved it (RFC 8628).

    The body is `{"provider"}`, or `{"handle"}` with the handle of the first response.
    """
    check_origin(request, context)
    content = await read_json_object(request, ("provider", "handle"))
    registry = _registry(context)
    await enter_task()  # the client of the provider has timeouts
    if "handle" in content:
        if "provider" in content:
            raise BadRequest("provider: expected no handle beside it")
        return await _poll(request, context, registry, member(content, "handle", str, ""))
    return await _begin(request, context, registry, member(content, "provider", str, ""))


async def _begin(
    request: Request, context: AppContext, registry: "ProviderRegistry", name: str
) -> Response:
    # Imported on demand, as the libraries of tokens are.
    from headgate_server.auth.oauth import device_flow

    sign_in = _provider(context, registry, name)
    name = sign_in.settings.name
    try:
        context.device_throttle.start_attempt(name, request.address)
    except TooManyFailures as error:
        raise TooManyDevices(error.seconds) from None
    try:
        if context.store.empty():
            raise SignInRefused(403, _NO_USERS)
        begun = await device_flow.begin(sign_in.provider)
    except SignInRefused as error:
        context.device_throttle.cancel_attempt(name, request.address)  # no sign-in has begun
        _record_refusal(request, context, name, "device", error)
        raise
    handle = await context.run_in_thread(partial(begun.handle.sealed, registry.sealer))
    context.metrics.sign_in.oauth(name, "device", "begun")
    answer: dict[str, Any] = {
        "verificationUri": begun.url,
        "userCode": begun.user_code,
        "expiresIn": begun.expires_in,
        "interval": begun.handle.interval,
        "handle": handle,
    }
    if begun.url_with_code:
        answer["verificationUriComplete"] = begun.url_with_code
    return json_response(answer)


async def _poll(
    request: Request, context: AppContext, registry: "ProviderRegistry", text: str
) -> Response:
    from headgate_server.auth.oauth import device_flow

    handle = await context.run_in_thread(partial(device_flow.opened_handle, text, registry.sealer))
    sign_in = _provider(context, registry, handle.provider)
    try:
        found = await device_flow.poll(sign_in, handle)
        if isinstance(found, device_flow.Pending):
            return json_response({"status": "pending", "interval": found.interval}, 202)
        account, tokens = found
        await context.run_in_thread(
            partial(_use, context, handle.digest, handle.expires_at, "device: the handle was used")
        )
        signed_in = await sign_in.sign_in(account, tokens, request.audit_address)
        try:
            answer = await begin_session(request, context, signed_in.principal, signed_in.origin)
        except AuthenticationFailed:
            raise AccessRefused("the user was dropped or disabled meanwhile") from None
    except SignInRefused as error:
        _record_refusal(request, context, handle.provider, "device", error)
        raise
    context.metrics.sign_in.oauth(handle.provider, "device", "accepted")
    context.device_throttle.complete_attempt(handle.provider, request.address)
    request.log.set_principal(signed_in.principal)
    return json_response(answer)


async def sign_in_by_code(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Begins a session by the code that a browser brought to the terminal, and its verifier.

    A code is valid for 60 seconds, and once.
    """
    check_origin(request, context)
    names = ("code", "verifier")
    content = await read_json_object(request, names, required=names)
    code, verifier = (member(content, name, str, "") for name in names)
    registry = _registry(context)
    open_code: Callable[[], TerminalGrant | None] = partial(
        opened_grant, code, "terminal code", registry.sealer
    )
    grant = await context.run_in_thread(open_code)
    provider = grant.origin.provider if grant is not None else ""
    try:
        if grant is None:
            raise AccessRefused("terminal: the code is not ours, or has expired", _INVALID_CODE)
        if not grant.terminal.matches(verifier):
            raise AccessRefused("terminal: another verifier", _INVALID_CODE)
        principal = await context.run_in_thread(partial(_redeemed, context, grant))
        try:
            answer = await begin_session(request, context, principal, grant.origin)
        except AuthenticationFailed:
            raise AccessRefused("terminal: the user was dropped or disabled") from None
    except SignInRefused as error:
        _record_refusal(request, context, provider, "terminal", error)
        raise
    if provider:
        context.metrics.sign_in.oauth(provider, "terminal", "accepted")
    request.log.set_principal(principal)
    return json_response(answer)


def _redeemed(context: AppContext, grant: TerminalGrant) -> Principal:
    """Returns the principal of *grant*, which is used up. Blocking. Raises AccessRefused."""
    ends_at = context.engine.sessions.now() + _KNOWN_SECONDS
    _use(context, grant.digest, ends_at, "terminal: the code was used before")
    user = context.store.user_by_id(grant.user_id)
    if user is None or not user.is_active:
        raise AccessRefused("terminal: the user was dropped or disabled")
    if credential_of(user) != grant.credential:
        raise AccessRefused("terminal: the password has changed", _INVALID_CODE)
    return Principal(user, grant.method, expires_at=grant.ends_at)


def _use(context: AppContext, digest: bytes, ends_at: int, reason: str) -> None:
    """Marks what has *digest* as used until *ends_at*. Blocking. Raises AccessRefused."""
    if not context.store.upkeep(lambda tx: tx.use_token(digest, ends_at)):
        raise AccessRefused(reason, _INVALID_CODE)


def _registry(context: AppContext) -> "ProviderRegistry":
    """Returns the providers. Raises SignInRefused with 404 if there are none."""
    if context.providers is None or not context.settings.auth_enabled:
        raise SignInRefused(404, "no sign-in provider is configured")
    return context.providers


def _provider(context: AppContext, registry: "ProviderRegistry", name: str) -> "ProviderSignIn":
    """Returns the provider *name*, or with "" the only one. Raises SignInRefused, BadRequest."""
    names = [one.name for one in context.settings.oauth if one.enabled]
    if not name and len(names) > 1:
        raise BadRequest(f"provider: expected one of {', '.join(names)}")
    sign_in = registry.get(name or names[0])
    if sign_in is None:
        raise SignInRefused(404, "there is no such sign-in provider")
    return sign_in


def _record_refusal(
    request: Request, context: AppContext, provider: str, step: str, error: SignInRefused
) -> None:
    if provider:
        context.metrics.sign_in.oauth(provider, step, "refused")
    by = f"oauth {provider}" if provider else step
    context.audit_writer.record_denied(
        "", request.audit_address, f"-- login ({by})", error.reason or str(error)
    )
