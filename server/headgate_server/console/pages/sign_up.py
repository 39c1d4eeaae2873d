"""The page at /signup, where people create an account for themselves."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request as StarletteRequest
from starlette.responses import RedirectResponse, Response

from headgate_engine import UserExists
from headgate_server.api.accounts.sign_up import check_sign_up_is_on, create_account
from headgate_server.api.error_statuses import error_status_for
from headgate_server.auth.common_passwords import MIN_CHARACTERS
from headgate_server.auth.errors import SignUpOff
from headgate_server.console.before_sign_in import show_before_sign_in
from headgate_server.http.form import read_form
from headgate_server.telemetry.log_message import log_message

_MAX_FORM_BYTES = 1 << 14


async def show(page: StarletteRequest) -> Response:
    """Answers GET: the form."""
    _, context = page.scope["headgate"]
    check_sign_up_is_on(context)
    return await _form(page)


async def create(page: StarletteRequest) -> Response:
    """Answers POST: creates the account, and leads to the sign-in page."""
    request, context = page.scope["headgate"]
    check_sign_up_is_on(context)
    form = (await read_form(request, {}, _MAX_FORM_BYTES, context.run_in_thread)).fields
    fields = {
        "name": form.get("username", ""),
        "email": form.get("email", "").strip(),
        "fullName": form.get("full_name", ""),
    }
    try:
        if form.get("password", "") != form.get("again", ""):
            return await _form(page, 400, error="The two passwords differ.", form=form)
        user = await create_account(request, context, fields, form.get("password", ""))
    except SignUpOff:
        raise
    except Exception as error:
        status = error_status_for(error)
        if status is None:
            raise
        request.log.error = log_message(error)
        text = f"{str(error)[:1].upper()}{str(error)[1:]}."
        if isinstance(error, UserExists):
            text = "This user name is taken. Choose another one."
        return await _form(page, status.status, error=text, form=form)
    return RedirectResponse(f"/login?notice={'created' if user.is_active else 'pending'}", 303)


async def _form(
    page: StarletteRequest,
    status: int = 200,
    *,
    error: str = "",
    form: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    _, context = page.scope["headgate"]
    values = {
        "error": error,
        "form": {key: form.get(key, "") for key in ("username", "email", "full_name")},
        "min_password": max(MIN_CHARACTERS, context.settings.password_min_length),
        "is_approved": context.settings.signup_require_approval,
    }
    return await show_before_sign_in(page, "sign_up.html", values, status)
