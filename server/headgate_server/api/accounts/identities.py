"""The endpoints of identities: the accounts at providers that users come in by."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from headgate_engine import LinkedIdentity, Principal
from headgate_server.api.accounts.requests import (
    json_response,
    member,
    no_content,
    path_id,
    read_object,
    require_admin,
    require_person,
    user_of_path,
)
from headgate_server.api.accounts.views import time_text
from headgate_server.app_context import AppContext
from headgate_server.auth.recent_login import check_recent_login
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response

_MAX_SUBJECT_CHARS, _MAX_ISSUER_CHARS = 255, 2048


def identity_json(context: AppContext, identity: LinkedIdentity) -> dict[str, Any]:
    """Returns *identity* as JSON, with the names of the providers that have its issuer."""
    return {
        "id": identity.id,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "providers": list(provider_names(context, identity.issuer)),
        "linkedAt": time_text(identity.linked_at),
    }


def provider_names(context: AppContext, issuer: str) -> Sequence[str]:
    """Returns the names of the configured providers whose accounts have the issuer *issuer*."""
    return [one.name for one in context.settings.oauth if one.identity_issuer == issuer]


def provider_titles(context: AppContext) -> Mapping[str, str]:
    """Returns the titles of the configured providers by the issuer of their accounts."""
    return {one.identity_issuer: one.title for one in context.settings.oauth}


async def list_providers(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the providers that the sign-in page offers."""
    shown = [
        {"name": one.name, "title": one.title, "kind": one.kind, "url": f"/login/{one.name}"}
        for one in context.settings.oauth
        if one.enabled
    ]
    return json_response(shown)


async def list_own_identities(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the identities of the caller, in order of linking."""
    _, user = await require_person(request, context)
    found = await context.run_in_thread(partial(context.engine.identities.of_user, user))
    return json_response([identity_json(context, one) for one in found])


async def unlink_own_identity(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Unlinks the identity in the path from the caller; it takes a recent sign-in."""
    principal, user = await require_person(request, context)
    check_recent_login(principal, context.engine.sessions.now())
    unlink = partial(_unlink, request, context, principal, user.id, path_id(request))
    await context.run_in_thread(unlink, (user.name,))
    return no_content()


def _unlink(
    request: Request, context: AppContext, principal: Principal, user_id: str, id: str
) -> None:
    user = context.store.user_by_id(user_id)
    assert user is not None
    identities = context.engine.identities
    found = next((one for one in identities.of_user(user) if one.id == id), None)
    providers = provider_names(context, found.issuer) if found is not None else ()
    identities.unlink(principal, user, id, request.audit_address, providers=providers)


async def list_identities_of_user(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the identities of the user in the path, in order of linking."""
    await require_admin(request, context)

    def read() -> list[dict[str, Any]]:
        found = context.engine.identities.of_user(user_of_path(request, context))
        return [identity_json(context, one) for one in found]

    return json_response(await context.run_in_thread(read))


async def link_identity(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Links the identity `{"issuer", "subject"}` to the user in the path. Returns 201."""
    principal = await require_admin(request, context)
    names = ("issuer", "subject")
    principal, content = await read_object(request, context, principal, names, required=names)
    issuer, subject = (member(content, name, str, "") for name in names)
    for name, text, most in (
        ("issuer", issuer, _MAX_ISSUER_CHARS),
        ("subject", subject, _MAX_SUBJECT_CHARS),
    ):
        if not text or len(text) > most or not text.isprintable():
            raise BadRequest(f"{name}: expected a text of at most {most} characters")

    def link() -> dict[str, Any]:
        user = user_of_path(request, context)
        identities = context.engine.identities
        linked = identities.link(principal, user, issuer, subject, request.audit_address)
        return identity_json(context, linked)

    return json_response(await context.run_in_thread(link), 201)


async def unlink_identity(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Unlinks the second identity in the path from the user in the path."""
    principal = await require_admin(request, context)

    def unlink() -> None:
        user = user_of_path(request, context)
        _unlink(request, context, principal, user.id, path_id(request, 1))

    await context.run_in_thread(unlink)
    return no_content()
