"""A browser without JavaScript for sign-ins: keeps cookies, follows redirects, sends forms."""

import base64
import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote_plus, urlencode, urljoin, urlsplit
from urllib.request import Request

_MAX_STEPS = 30
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Seen:
    """A response that is not followed: *location* is the absolute URL of a redirect, or ""."""

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    cookies: tuple[str, ...] = field(default=(), repr=False)

    @property
    def location(self) -> str:
        target = self.headers.get("location", "")
        return urljoin(self.url, target) if 300 <= self.status < 400 and target else ""


def opened(request: Request, tls: ssl.SSLContext | None = None) -> Seen:
    """Sends *request* on a connection of its own; returns the response, whatever its status."""
    parts = urlsplit(request.full_url)
    host = parts.netloc
    line = (
        http.client.HTTPSConnection(host, timeout=_TIMEOUT_SECONDS, context=tls)
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, timeout=_TIMEOUT_SECONDS)
    )
    try:
        data = request.data if isinstance(request.data, bytes) else None
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        line.request(request.get_method(), target, data, dict(request.header_items()))
        answer = line.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        cookies = tuple(answer.headers.get_all("Set-Cookie") or ())
        text = answer.read().decode("utf-8", "replace")
        return Seen(request.full_url, answer.status, headers, text, cookies)
    finally:
        line.close()


def fetched(url: str, token: str = "") -> Seen:
    """Requests *url* by GET, with the bearer token *token* if there is one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return opened(Request(url, headers=headers))


def posted(url: str, form: Mapping[str, str], authorization: str = "") -> Seen:
    """Sends *form* to *url* by POST, with the header *authorization* if there is one."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if authorization:
        headers["Authorization"] = authorization
    return opened(Request(url, urlencode(form).encode(), headers))


def client_authorization(id: str, secret: str) -> str:
    """Returns the header of a client, form-encoded before base64 (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@dataclass
class Form:
    """A form of a page: its *action*, and its *fields* with the values that the page sets.

    *buttons* are the names and values of its submit buttons; the name may be "".
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._url = url
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attrs}
        name, value = at.get("name", ""), at.get("value", "")
        if tag == "form":
            action = urljoin(self._url, at.get("action", ""))
            self.forms.append(Form(action, at.get("method", "get").upper()))
            self._open = True
        elif not self._open or tag not in ("input", "button"):
            return
        elif at.get("type", "submit" if tag == "button" else "text") == "submit":
            self.forms[-1].buttons.append((name, value))
        elif name and (at.get("type") not in ("checkbox", "radio") or "checked" in at):
            self.forms[-1].fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"


def forms(page: Seen) -> list[Form]:
    """Returns the forms of *page*."""
    parser = _Forms(page.url)
    parser.feed(page.text)
    return parser.forms


class PlainBrowser:
    """One browser with its cookies, which sends *headers* with each request.

    Cookies belong to a host, not to a port, as in browsers. `Secure` and `SameSite` are ignored.
    """

    def __init__(
        self, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._headers = dict(headers or {})
        self._tls = tls
        self._cookies: dict[tuple[str, str, str], str] = {}

    def request(self, url: str, form: Mapping[str, str] | None = None) -> Seen:
        """Requests *url*, by POST if there is a *form*; returns the response without following."""
        data = None if form is None else urlencode(form).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        headers = self._headers | ({} if data is None else kind)
        if cookies := self._cookies_for(url):
            headers["Cookie"] = cookies
        method = "GET" if data is None else "POST"
        page = opened(Request(url, data, headers, method=method), self._tls)
        for line in page.cookies:
            self._keep(url, line)
        return page

    def submit(self, form: Form, fill: Mapping[str, str], button: int = 0) -> Seen:
        """Sends *form* with the values of *fill* for the fields that it has, by *button*."""
        known = {name: fill.get(name, value) for name, value in form.fields.items()}
        name, value = form.buttons[button] if form.buttons else ("", "")
        sent = known | ({name: value} if name else {})
        if form.method == "POST":
            return self.request(form.action, sent)
        return self.request(urlsplit(form.action)._replace(query=urlencode(sent)).geturl())

    def follow(
        self,
        url: str,
        fill: Mapping[str, str],
        stop: Callable[[str], bool] = lambda url: False,
        button: int = 0,
    ) -> Seen:
        """Opens *url*; follows redirects, and sends forms filled with *fill*.

        Returns the first response that redirects to a URL for which *stop* is true, else the first
        page without a form. *button* is the index of the submit button that is pressed.
        Raises: AssertionError after 30 steps, or if a page still asks after it was filled.
        """
        page = self.request(url)
        for _ in range(_MAX_STEPS):
            if page.location:
                if stop(page.location):
                    return page
                page = self.request(page.location)
                continue
            found = forms(page)
            if not found:
                return page
            assert page.status < 400, f"{page.status} at {urlsplit(page.url).path}: {page.text}"
            page = self.submit(found[0], fill, min(button, max(len(found[0].buttons) - 1, 0)))
        raise AssertionError(f"no end of redirects and forms at {urlsplit(page.url).path}")

    def _cookies_for(self, url: str) -> str:
        parts = urlsplit(url)
        return "; ".join(
            f"{name}={value}"
            for (host, path, name), value in self._cookies.items()
            if host == parts.hostname and _inside(parts.path or "/", path)
        )

    def _keep(self, url: str, line: str) -> None:
        """Keeps the cookie of the header Set-Cookie *line*, or deletes it if it has expired."""
        pair, *attributes = line.split(";")
        name, _, value = pair.strip().partition("=")
        at = {key.strip().lower(): text.strip() for key, _, text in map(_halves, attributes)}
        parts = urlsplit(url)
        path = at.get("path") or parts.path.rpartition("/")[0] or "/"
        key = (parts.hostname or "", path, name)
        if at.get("max-age") == "0" or "1970" in at.get("expires", ""):
            self._cookies.pop(key, None)
        else:
            self._cookies[key] = value


def _halves(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _inside(path: str, folder: str) -> bool:
    """Returns whether *path* is *folder* or below it (RFC 6265, 5.1.4)."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
