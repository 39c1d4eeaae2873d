"""GitHub, GitLab and a scriptable OpenID provider as servers in the tests' process."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from support.fake_openid import FakeOpenID, IdTokenChange, with_query
from support.key_server import Said
from support.oauth_grants import Client, Grants, OAuthError
from support.provider_server import (
    NO_ANSWER,
    Answer,
    Asked,
    ProviderServer,
    as_json,
    redirect,
)

__all__ = [
    "NO_ANSWER",
    "Answer",
    "Asked",
    "FakeGitHub",
    "FakeGitLab",
    "FakeOpenID",
    "GitHubAccount",
    "IdTokenChange",
    "Said",
    "as_json",
    "page_of",
    "redirect",
]

_DEFAULT_PER_PAGE = 30
_MAX_PER_PAGE = 100
_GITLAB_PER_PAGE = 20
# The scopes of GitHub that each list requires, any one of them, and the status without one.
_LISTS = {
    "/user/emails": ({"user", "user:email"}, 404),
    "/user/orgs": ({"user", "read:org", "write:org", "admin:org"}, 403),
    "/user/teams": ({"user", "repo", "read:org", "write:org", "admin:org"}, 403),
}


def page_of(
    url: str, asked: Asked, items: Sequence[Any], per_page: int
) -> tuple[Sequence[Any], dict[str, str], int | None]:
    """Returns the requested page of *items*, its header Link, and the number of the next page.

    *url* is that of the list, without a query. *per_page* is the default size of a page.
    """
    query = asked.query
    size = max(1, min(int(query.get("per_page") or per_page), _MAX_PER_PAGE))
    number = max(1, int(query.get("page") or 1))
    last = max(1, -(-len(items) // size))

    def link(page: int, rel: str) -> str:
        return f'<{url}?{urlencode(query | {"page": str(page)})}>; rel="{rel}"'

    links = [link(number - 1, "prev"), link(1, "first")] if number > 1 else []
    if number < last:
        links += [link(number + 1, "next"), link(last, "last")]
    headers = {"Link": ", ".join(links)} if links else {}
    found = items[(number - 1) * size : number * size]
    return found, headers, number + 1 if number < last else None


@dataclass
class GitHubAccount:
    """An account of GitHub. *teams* are pairs of an organization and the slug of a team.

    *email* is the public address, or None. *emails* are the objects of `GET /user/emails`.
    """

    id: int
    login: str
    name: str | None = None
    email: str | None = None
    emails: list[dict[str, Any]] = field(default_factory=list)
    organizations: list[str] = field(default_factory=list)
    teams: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def ann(cls) -> "GitHubAccount":
        """Returns an account with a verified primary address, an organization and a team."""
        mail = {"email": "ann@example.com", "primary": True, "verified": True}
        return cls(
            1234, "ann", "Ann Archer", None, [mail | {"visibility": None}], ["acme"],
            [("acme", "staff")],
        )  # fmt: skip


class FakeGitHub(ProviderServer):
    """GitHub's sign-in for OAuth apps, and its REST API at `/api/v3` as GitHub Enterprise has it.

    A request to the authorization endpoint signs *login* in at once. Errors of the endpoint for
    tokens have status 200, as GitHub's.
    """

    authorize_path: ClassVar[str] = "/login/oauth/authorize"
    token_path: ClassVar[str] = "/login/oauth/access_token"

    def __init__(
        self, client_id: str = "headgate", client_secret: str = "github-Secret-1", **options: Any
    ) -> None:
        super().__init__(**options)
        self.client = Client(client_id, client_secret)
        self.accounts = {"ann": GitHubAccount.ann()}
        self.login = "ann"
        self.grants = Grants()

    @property
    def authorization_url(self) -> str:
        return self.url + self.authorize_path

    @property
    def token_url(self) -> str:
        return self.url + self.token_path

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v3"

    def sign_in(self, url: str) -> str:
        """Visits the authorization URL *url*; returns the URL of the redirect."""
        return self.visited(url)

    def respond(self, asked: Asked) -> Said:
        """Returns the response of the provider itself, without the script."""
        match asked.path:
            case self.authorize_path:
                return self._authorize(asked)
            case self.token_path if asked.method == "POST":
                return self._as_requested(asked, self._token(asked))
            case path if path.startswith("/api/v3/"):
                return self._api(asked, path.removeprefix("/api/v3"))
            case _:
                return as_json({"message": "Not Found"}, 404)

    def _authorize(self, asked: Asked) -> Said:
        query = asked.query
        if query.get("client_id") != self.client.id:
            return Said(404, b"Not Found")
        answer = {"state": query["state"]} if "state" in query else {}
        if self.login in self.accounts:
            answer["code"] = self.grants.code(self.login, query, secrets.token_hex(8))
        else:
            answer |= {"error": "access_denied", "error_description": "The user denied it."}
        return redirect(with_query(query["redirect_uri"], answer))

    def _token(self, asked: Asked) -> dict[str, str]:
        try:
            self.client.check(asked)
            grant = self.grants.redeemed(asked.form)
        except OAuthError as error:
            codes = {"invalid_client": "incorrect_client_credentials"}
            code = codes.get(error.code, "bad_verification_code")
            return {"error": code, "error_description": "It is incorrect or expired."}
        # GitHub separates scopes by spaces in the request, and by commas in the answer.
        scope = ",".join(sorted(grant.asked.get("scope", "").replace(",", " ").split()))
        token = self.grants.access_token(grant, "gho_")
        return {"access_token": token, "scope": scope, "token_type": "bearer"}

    @staticmethod
    def _as_requested(asked: Asked, content: Mapping[str, str]) -> Said:
        """Returns *content* as JSON if the request accepts it, else as a form."""
        if "application/json" in asked.headers.get("accept", ""):
            return as_json(content)
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Said(200, urlencode(content).encode(), kind)

    def _api(self, asked: Asked, path: str) -> Said:
        grant = self.grants.of_access_token(asked.bearer)
        account = None if grant is None else self.accounts.get(grant.login)
        if grant is None or account is None:
            return as_json({"message": "Bad credentials"}, 401)
        if "user-agent" not in asked.headers:
            return Said(403, b"Request forbidden by administrative rules.")
        scopes = set(grant.asked.get("scope", "").replace(",", " ").split())
        items: list[Any]
        match path:
            case "/user":
                content = {"login": account.login, "id": account.id, "type": "User"}
                return as_json(content | {"name": account.name, "email": account.email})
            case "/user/emails":
                items = list(account.emails)
            case "/user/orgs":
                ids = enumerate(account.organizations, 1)
                items = [{"login": name, "id": number} for number, name in ids]
            case "/user/teams":
                items = [_team(*team, number) for number, team in enumerate(account.teams, 1)]
            case _:
                return as_json({"message": "Not Found"}, 404)
        required, status = _LISTS[path]
        if not scopes & required:
            return as_json({"message": "Not Found"}, status)
        found, headers, _ = page_of(self.api_url + path, asked, items, _DEFAULT_PER_PAGE)
        return as_json(found, 200, **headers)


def _team(organization: str, slug: str, number: int) -> dict[str, Any]:
    return {"id": number, "slug": slug, "name": slug, "organization": {"login": organization}}


class FakeGitLab(FakeOpenID):
    """GitLab's OpenID Connect, and the groups of its REST API.

    *groups* maps logins to the full paths of their groups, all with at least guest access. The
    names of the user are only in the user information, as with older releases of GitLab. Newer
    ones have them in the ID token too: *user_info_only* is empty then.
    """

    authorize_path: ClassVar[str] = "/oauth/authorize"
    token_path: ClassVar[str] = "/oauth/token"
    user_info_path: ClassVar[str] = "/oauth/userinfo"
    keys_path: ClassVar[str] = "/oauth/discovery/keys"

    def __init__(
        self, client_id: str = "headgate", client_secret: str = "gitlab-Secret-1", **options: Any
    ) -> None:
        super().__init__(client_id, client_secret, **options)
        self.accounts["ann"] |= {"sub": "42", "nickname": "ann"}
        del self.accounts["ann"]["groups"]
        self.groups: dict[str, list[str]] = {"ann": ["acme", "acme/staff"]}
        self.user_info_only = {"name", "nickname", "preferred_username"}
        self.always_refreshable = True
        # GitLab has no endpoint to end a session, and sends no `iss` to the callback.
        del self.discovery["end_session_endpoint"]
        del self.discovery["authorization_response_iss_parameter_supported"]

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v4"

    def respond(self, asked: Asked) -> Said:
        """Returns the response of the provider itself, without the script."""
        return self._groups(asked) if asked.path == "/api/v4/groups" else super().respond(asked)

    def _groups(self, asked: Asked) -> Said:
        grant = self.grants.of_access_token(asked.bearer)
        if grant is None or grant.login not in self.accounts:
            return as_json({"message": "401 Unauthorized"}, 401)
        if not {"api", "read_api"} & set(grant.asked.get("scope", "").split()):
            return as_json({"error": "insufficient_scope"}, 403)
        items = [
            {"id": number, "full_path": path, "path": path.rpartition("/")[2]}
            for number, path in enumerate(self.groups.get(grant.login, []), 1)
        ]
        if asked.query.get("min_access_level") != "10":
            # Without the parameter, GitLab lists the public groups too.
            items.append({"id": 99, "full_path": "public", "path": "public"})
        found, headers, following = page_of(
            f"{self.api_url}/groups", asked, items, _GITLAB_PER_PAGE
        )
        paging = {"X_Next_Page": "" if following is None else str(following)}
        return as_json(found, 200, **headers, **paging)
