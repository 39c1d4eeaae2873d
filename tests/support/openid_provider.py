"""Runs the certified OpenID provider of npm, and signs in there without a browser."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import Request

import pytest

from support.fake_openid import ann
from support.plain_browser import PlainBrowser, fetched, forms, opened
from support.session_folder import made_once
from support.waiting import free_port, poll_until

NODE, NPM = shutil.which("node"), shutil.which("npm")
needs_node = pytest.mark.skipif(
    (NODE is None or NPM is None) and not os.environ.get("CI"),
    reason="Node.js and npm are not installed",
)
# Any password is right.
PASSWORD = "any-Password-1"
_START_SECONDS = 60
_HERE = Path(__file__).parent / "openid_provider"
_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def installed(factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with op.mjs and its packages, installed once for all workers of pytest.

    npm asks its registry only for what its own cache lacks.
    """
    return made_once(factory, "openid-provider", _install)


def _install(folder: Path) -> None:
    assert NPM is not None, "nodejs and npm must be installed"
    for name in ("package.json", "op.mjs"):
        shutil.copy(_HERE / name, folder)
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    command = [NPM, "install", "--prefer-offline", *options]
    subprocess.run(command, cwd=folder, check=True, timeout=300)


@dataclass(frozen=True)
class ProviderClient:
    """A client of the provider. It is public if *token_endpoint_auth_method* is `none`."""

    client_id: str = "headgate"
    client_secret: str = field(default="s%cr+t:of&ours=1", repr=False)
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    token_endpoint_auth_method: str = "client_secret_basic"
    backchannel_logout_uri: str = ""
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token", _DEVICE_CODE)

    def metadata(self) -> dict[str, Any]:
        """Returns the client metadata (OpenID Connect Dynamic Client Registration, 2)."""
        known = {name: value for name, value in asdict(self).items() if value != ""}
        if self.token_endpoint_auth_method == "none":
            del known["client_secret"]
        if self.backchannel_logout_uri:
            known["backchannel_logout_session_required"] = True
        return known | {"response_types": ["code"] if self.redirect_uris else []}


class OpenIDProvider:
    """A process of the provider on a free port; a context manager starts and stops it.

    *package* is the folder that `installed` returns, *folder* gets the configuration and the log.
    Clients can use the flow with a code, only with PKCE, and the device flow. *accounts* maps
    logins to claims. Without *always_refreshable*, refresh tokens need the scope `offline_access`,
    which the provider drops from requests without `prompt=consent` (OpenID Connect Core, 11).
    """

    def __init__(
        self,
        package: Path,
        folder: Path,
        clients: Iterable[ProviderClient],
        *,
        accounts: Mapping[str, Mapping[str, Any]] | None = None,
        access_token_seconds: int = 3600,
        always_refreshable: bool = True,
    ) -> None:
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        self._package, self._folder = package, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = {
            "port": self.port,
            "clients": [client.metadata() for client in clients],
            "accounts": {"ann": ann()} if accounts is None else accounts,
            "access_token_seconds": access_token_seconds,
            "always_refreshable": always_refreshable,
        }

    def start(self) -> None:
        """Starts the process, without sessions and grants of an earlier one."""
        assert NODE is not None, "nodejs must be installed"
        path = self._folder / f"openid-provider-{self.port}.json"
        path.write_text(json.dumps(self._configuration))
        command = [NODE, str(self._package / "op.mjs"), str(path)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        poll_until(self._answers, "the provider did not start", _START_SECONDS)

    def stop(self) -> None:
        """Ends the process: connections are refused until `start`."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def log(self) -> str:
        """Returns what the process has written."""
        return self._log.read_text()

    @property
    def discovery(self) -> dict[str, Any]:
        answer = fetched(f"{self.issuer}/.well-known/openid-configuration")
        assert answer.status == 200, answer.text
        return dict(json.loads(answer.text))

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The requests for tokens, in their order: `grant_type` and `status`."""
        return list(self._control()["seen"])

    def set_claims(self, login: str, **claims: Any) -> None:
        """Changes claims of the account *login*, or creates it. The value None removes a claim."""
        accounts = self._control()["accounts"]
        changed = accounts.get(login, {}) | claims
        accounts[login] = {name: value for name, value in changed.items() if value is not None}
        self._control({"accounts": accounts})

    def remove_account(self, login: str) -> None:
        """Removes the account *login*: its refresh tokens fail with `invalid_grant`."""
        accounts = self._control()["accounts"]
        del accounts[login]
        self._control({"accounts": accounts})

    def reset(self) -> None:
        """Restores the account ann as the only one, and ends failures."""
        self._control({"accounts": {"ann": ann()}, "trouble": None})

    def set_access_token_seconds(self, seconds: int) -> None:
        """Sets how long new access tokens are valid."""
        self._control({"accessTokenSeconds": seconds})

    def fail_token_requests(self, times: int, status: int = 500, seconds: float = 0) -> None:
        """Answers the next *times* requests for tokens with *status*, after *seconds* each.

        `times=0` ends it.
        """
        trouble = {"status": status, "seconds": seconds, "times": times} if times else None
        self._control({"trouble": trouble})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self._folder / f"openid-provider-{self.port}.txt"

    def _control(self, change: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if change is None else json.dumps(change).encode()
        answer = opened(Request(f"{self.issuer}/_test", data))
        assert answer.status == 200, answer.text
        return dict(json.loads(answer.text))

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log()
        with suppress(OSError):
            return bool(self.discovery)
        return False


def sign_in_at_provider(
    url: str, login: str, *, browser: PlainBrowser | None = None, consent: bool = True
) -> str:
    """Signs in from the authorization URL *url* as *login*; returns the callback URL, unfollowed.

    With a *browser* of an earlier call, the provider remembers the session. Without *consent*, the
    user presses Cancel instead of signing in.
    """
    origin = urlsplit(url).netloc
    page = (browser or PlainBrowser()).follow(
        url,
        {"login": login, "password": PASSWORD},
        lambda target: urlsplit(target).netloc != origin,
        button=0 if consent else 1,
    )
    assert page.location, f"{page.status}: {page.text}"
    return page.location


def approve_device(verification_uri: str, user_code: str, login: str) -> None:
    """Signs in as *login* at *verification_uri*, and approves the device that shows *user_code*."""
    fill = {"user_code": user_code, "login": login, "password": PASSWORD}
    page = PlainBrowser().follow(verification_uri, fill)
    assert page.status == 200 and "signed in" in page.text, f"{page.status}: {page.text}"


def sign_out_at_provider(url: str, browser: PlainBrowser) -> str:
    """Confirms the sign-out at the URL *url* of `end_session`; returns the URL to go on to.

    It is "" if the provider shows a page of its own.
    """
    origin = urlsplit(url).netloc
    page = browser.follow(url, {}, lambda target: urlsplit(target).netloc != origin)
    assert page.status < 400 and not forms(page), page.text
    return page.location
