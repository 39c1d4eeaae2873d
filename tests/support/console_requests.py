"""Requests to the console's pages, as a browser sends them."""

import re
from html import unescape
from urllib.parse import urlencode

from support.account_requests import COOKIES, cookie_of, send
from support.servers import Answer, Server

_BROWSER = {
    "Sec-Fetch-Site": "same-origin",
    "Accept-Encoding": "gzip, deflate, br",
    "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/9",
}


class Visitor:
    """A browser at *server*, with the cookies that it was given; without a name, not signed in."""

    def __init__(self, server: Server, name: str = "", password: str = "") -> None:
        self.server = server
        self.cookies: dict[str, str] = {}
        if name:
            login = {"user": name, "password": password}
            self._keep(send(server, "POST", "/api/session", login, None))
            assert self.cookies.keys() & COOKIES, "not signed in"

    def get(self, path: str, **headers: str) -> Answer:
        return self._send("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """Sends *form* from a page of the same origin, unless *headers* say otherwise."""
        fields = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return self._send(
            "POST", path, urlencode(form or {}, errors="surrogatepass").encode(), fields
        )

    def follow(self, answer: Answer) -> Answer:
        """Returns the page that the redirect *answer* leads to."""
        assert answer.status == 303, page_text(answer)
        return self.get(answer.headers["Location"])

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        sent = _BROWSER | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.server.request(method, path, body, sent)
        self._keep(answer)
        return answer

    def _keep(self, answer: Answer) -> None:
        for field in answer.headers.get_all("Set-Cookie", []):
            name, _, value = field.partition(";")[0].partition("=")
            if name in COOKIES and value:
                self.server.secrets.add(cookie_of(answer))
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)


def page_text(answer: Answer) -> str:
    """Returns the page with its entities decoded, for assertions about its words."""
    return unescape(answer.body.decode())


def rights_form(visitor: Visitor, id: str) -> dict[str, str]:
    """Returns the fields that the form of a user's rights would send unchanged."""
    page = page_text(visitor.get(f"/console/users/{id}"))
    fields = dict(re.findall(r'<input type="hidden" name="(revision|admin)" value="(\w+)">', page))
    chosen = re.findall(r'name="(grant\.\d+)" value="([A-Z ]+)" checked', page)
    return fields | dict(chosen)
