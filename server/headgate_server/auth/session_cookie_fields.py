"""The header field `Set-Cookie` that gives a browser its session, or takes it away (RFC 6265)."""

import time

from headgate_server.config.settings import DEFAULT_COOKIE_NAME, Settings
from headgate_server.http.request import Request

_MAX_AGE_SECONDS = 400 * 86_400  # browsers keep no cookie for longer
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}


class SessionCookies:
    """Makes the fields `Set-Cookie` by *settings*. `name` is the cookie's name; "": no sessions.

    A name by default has the prefix `__Host-` if the cookie is always sent by HTTPS alone: then no
    other host of the same domain can set it (RFC 6265bis, 4.1.3.2).
    """

    def __init__(self, settings: Settings) -> None:
        self._same_site = settings.cookie_samesite
        self._secure = settings.cookie_secure
        self._https = settings.https_enabled or settings.base_url.startswith("https://")
        self.name = settings.login_cookie_name
        if self.name == DEFAULT_COOKIE_NAME and self._is_always_secure():
            self.name = f"__Host-{self.name}"

    def set(self, request: Request, token: str, ends_at: int) -> str:
        """Returns the field that stores *token* until the Unix time *ends_at* (0: 400 days)."""
        age = min(ends_at - int(time.time()), _MAX_AGE_SECONDS) if ends_at else _MAX_AGE_SECONDS
        return self._field(request, token, max(age, 0))

    def delete(self, request: Request) -> str:
        """Returns the field that deletes the cookie."""
        return self._field(request, "", 0)

    def _field(self, request: Request, value: str, age: int) -> str:
        same_site = _SAME_SITE[self._same_site]
        secure = "; Secure" if self.is_secure(request) else ""
        return f"{self.name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}"

    def is_secure(self, request: Request) -> bool:
        """Returns whether the browser may send the cookie over HTTPS only."""
        return self._is_always_secure() or (self._secure == "auto" and request.is_forwarded_https)

    def _is_always_secure(self) -> bool:
        if self._same_site == "none" or self._secure == "true":
            return True
        return self._secure == "auto" and self._https
