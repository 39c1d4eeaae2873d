"""The endpoint at which people create an account for themselves."""

from collections.abc import Mapping
from functools import partial

from headgate_engine import NewUser, Profile, StatementError, User
from headgate_server.api.accounts.requests import (
    decoded_password,
    json_response,
    member,
    read_json_object,
)
from headgate_server.api.accounts.views import user_json
from headgate_server.app_context import AppContext
from headgate_server.auth.common_passwords import check_persons_password
from headgate_server.auth.errors import SignUpOff, TooManySignUps
from headgate_server.auth.sign_up import (
    check_sign_up_full_name,
    check_sign_up_name,
    first_rights,
)
from headgate_server.formats import ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.cross_site import is_cross_site
from headgate_server.http.errors import BadRequest, CrossSiteRequest
from headgate_server.http.request import Request
from headgate_server.http.response import Response


async def sign_up(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Creates an account by `{"name", "password", "email", "fullName"}`, the password in Base64.

    Returns 201 and the user; 202 if an administrator has to approve the account.
    """
    check_sign_up_is_on(context)
    content = await read_json_object(
        request, ("name", "password", "email", "fullName"), required=("name", "password")
    )
    fields = {key: member(content, key, str, "") for key in ("name", "email", "fullName")}
    password = decoded_password(content, "password")
    user = await create_account(request, context, fields, password)
    if not user.is_active:
        return json_response({"id": user.id, "name": user.name, "isPending": True}, 202)
    profile = await context.run_in_thread(partial(context.engine.accounts.profile, user))
    return json_response(user_json(user, profile), 201)


def check_sign_up_is_on(context: AppContext) -> None:
    """Raises SignUpOff if people may not create accounts."""
    if not context.settings.signup_enabled or not context.settings.auth_enabled:
        raise SignUpOff


async def create_account(
    request: Request, context: AppContext, fields: Mapping[str, str], password: str
) -> User:
    """Creates the account that *fields*, `name`, `email` and `fullName`, describe.

    Raises CrossSiteRequest, TooManySignUps, BadRequest, and what `Accounts.sign_up` raises. The
    audit has each refused sign-up.
    """
    settings = context.settings
    if is_cross_site(request.headers, settings.trusted_origins):
        raise CrossSiteRequest("a sign-up")
    try:
        context.sign_up_limiter.check(request.address)
        check_sign_up_name(fields["name"])
        check_sign_up_full_name(fields["fullName"])
        check_persons_password(password, settings.password_min_length)

        def create() -> User:
            rights = first_rights(settings)
            there = [database.name for database in context.store.databases()]
            new = NewUser(
                fields["name"],
                context.engine.passwords.hash(password),
                admin=bool(rights.admin),
                grants=rights.privileges_on(there),
                profile=Profile(email=fields["email"], full_name=fields["fullName"]),
            )
            return context.engine.accounts.sign_up(
                new,
                request.audit_address,
                pending=settings.signup_require_approval,
                max_pending=settings.signup_max_pending,
            )

        context.sign_up_limiter.count(request.address)
        try:
            # The key of all sign-ups: they take turns with the users whose work waits.
            user = await context.run_in_thread(create, ("sign-up",))
        except BaseException:
            context.sign_up_limiter.discount(request.address)
            raise
    except (BadRequest, StatementError, TooManySignUps) as error:
        context.metrics.sign_in.sign_up("refused")
        outcome = "refused" if isinstance(error, BadRequest) else str(error)
        context.audit_writer.record_denied("", request.audit_address, "-- sign-up", outcome)
        raise
    context.metrics.sign_in.sign_up("created" if user.is_active else "pending")
    return user
