"""A sign-in on its way to the provider and back: what the browser keeps of it, sealed."""

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Literal

from headgate_server.auth.sealing import Sealer

Purpose = Literal["login", "link", "again", "device"]
FLOW_SECONDS = 600
COOKIE_PREFIX = "headgate_login_"
_STATE_BYTES, _VERIFIER_BYTES = 32, 48


@dataclass(frozen=True, slots=True)
class LoginFlow:
    """A sign-in that was begun with the provider *provider*.

    *state* ties the callback to the browser, *nonce* the ID token to the sign-in, *verifier* the
    code to both (PKCE, RFC 7636). *redirect* is the path that follows. A flow of the purpose `link`
    or `again` is for the session *session_id*. *terminal* is the query of the terminal that the
    sign-in is for, or "" (see `Terminal`).
    """

    provider: str
    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect: str
    purpose: Purpose = "login"
    session_id: str = ""
    terminal: str = ""

    @property
    def cookie_name(self) -> str:
        """The name of the cookie: several tabs may sign in at once."""
        return cookie_name(self.state)

    def sealed(self, sealer: Sealer) -> str:
        """Returns this flow as the value of its cookie."""
        return sealer.seal(json.dumps(asdict(self)).encode()).decode()


def cookie_name(state: str) -> str:
    """Returns the name of the cookie of the flow with *state*."""
    return COOKIE_PREFIX + "".join(char for char in state[:8] if char.isalnum() or char in "-_")


def new_flow(
    provider: str, redirect: str, purpose: Purpose = "login", session_id: str = ""
) -> LoginFlow:
    """Returns a new flow with random values."""
    return LoginFlow(
        provider,
        secrets.token_urlsafe(_STATE_BYTES),
        secrets.token_urlsafe(_STATE_BYTES),
        secrets.token_urlsafe(_VERIFIER_BYTES),
        redirect,
        purpose,
        session_id,
    )


def opened_flow(sealed: str, sealer: Sealer) -> LoginFlow | None:
    """Returns the flow in the cookie's value *sealed*; None if it is not ours, or too old."""
    opened = sealer.open(sealed.encode("latin-1", "replace"), FLOW_SECONDS)
    try:
        return LoginFlow(**json.loads(opened)) if opened is not None else None
    except (TypeError, ValueError):  # sealed for another use
        return None
