"""Which accounts of providers may sign in, which users they become, and what rights they get."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headgate_server.auth.oauth.access_rules import canonical_domain, domain_of
from support.account_requests import COOKIE, send
from support.console_requests import Visitor, page_text
from support.fake_openid import FakeOpenID
from support.fake_providers import FakeGitHub, FakeGitLab, as_json
from support.local_server import LocalServer
from support.servers import ROOT
from support.sso import come_back, path_of, provider_table, serve_with

pytest_plugins = ("support.fake_openid_fixtures",)

Serve = Callable[..., LocalServer]


def user(server: LocalServer, name: str) -> Any:
    """Returns the user *name* as JSON, or None."""
    found = send(server, "GET", f"/api/users?name={name}").json
    return next((it for it in found if it["name"] == name), None)


DOMAINS = [
    ("a@example.com", True, 303),
    ("a@EXAMPLE.COM", True, 303),
    ("a@example.com", False, 403),
    ("a@example.com", "true", 403),
    ("a@evil-example.com", True, 403),
    ("a@example.com.evil", True, 403),
    ("a@sub.example.com", True, 403),
    ("a@evil@example.com", True, 403),
    ("a@bücher.example", True, 303),
    ("a@xn--bcher-kva.example", True, 303),
    ("example.com", True, 403),
    ("", True, 403),
]


@pytest.mark.parametrize(("email", "verified", "status"), DOMAINS)
def test_a_verified_address_of_an_allowed_domain_is_needed(
    start_server: Callable[..., LocalServer],
    provider: FakeOpenID,
    email: str,
    verified: object,
    status: int,
) -> None:
    server = start_server(allowed_domains=["example.com", "bücher.example"])
    provider.accounts["ann"] |= {"email": email, "email_verified": verified}
    assert come_back(Visitor(server), provider).status == status


def test_domains_have_one_form() -> None:
    assert [domain_of(it) for it in ("a@b.c", "@b.c", "b.c", "a@b@c", "a@")] == [
        *("b.c", "", "", "", "")
    ]
    assert canonical_domain("BÜCHER.example.") == canonical_domain("xn--bcher-kva.example")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"allowed_groups": ["staff"]}, 303),
        ({"allowed_groups": ["other", "staff"]}, 303),
        ({"allowed_groups": ["Staff"]}, 403),
        ({"allowed_groups": ["staff"], "allowed_domains": ["other.example"]}, 403),
        ({"role_attribute_path": "missing", "role_attribute_strict": True}, 403),
        ({"required_acr": ["mfa"]}, 403),
        ({"allow_sign_up": False}, 403),
    ],
)
def test_restrictions_all_have_to_hold(
    start_server: Callable[..., LocalServer],
    provider: FakeOpenID,
    options: dict[str, Any],
    status: int,
) -> None:
    server = start_server(**options)
    assert come_back(Visitor(server), provider).status == status
    assert (user(server, "ann") is not None) == (status == 303)


@pytest.mark.slow
def test_rights_come_from_claims_and_follow_them(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(
        groups_attribute_path="groups",
        db_mapping=["staff:shop:READ", "ops:shop:WRITE"],
        admin_subjects=["boss"],
    )
    visitor = Visitor(server)
    for groups, grants in ((["staff"], {"shop": "READ"}), (["ops"], {"shop": "WRITE"}), ([], {})):
        provider.accounts["ann"]["groups"] = groups
        come_back(visitor, provider)
        assert user(server, "ann")["grants"] == grants
    provider.accounts["boss"] = {"preferred_username": "boss"}
    come_back(Visitor(server), provider, "boss")
    assert user(server, "boss")["admin"] is True


def test_a_new_user_without_claimed_rights_gets_those_of_a_sign_up(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server('signup-databases = ["shop"]', admin_subjects=["ann"])
    come_back(Visitor(server), provider)
    found = user(server, "ann")
    assert (found["grants"], found["admin"]) == ({"shop": "READ"}, True)


@pytest.mark.parametrize("name", ["root", "todd"])
@pytest.mark.parametrize(
    ("auth", "options", "taken_over"),
    [
        ("", {}, ()),
        ("", {"adopt_existing": "non_admin"}, ("todd",)),
        ("", {"adopt_existing": "any"}, ("todd", "root")),
        ('protected-roles = "server_admins"', {"adopt_existing": "any"}, ("todd",)),
        ('protected-roles = "all"', {"adopt_existing": "any"}, ()),
    ],
)
def test_an_account_takes_over_a_user_only_where_it_is_said(
    start_server: Callable[..., LocalServer],
    provider: FakeOpenID,
    auth: str,
    options: dict[str, Any],
    taken_over: tuple[str, ...],
    name: str,
) -> None:
    server = start_server(auth, **options)
    server.query("CREATE USER todd WITH PASSWORD 'pw-todd-1'", ROOT)
    provider.accounts["thief"] = {"preferred_username": name, "email": f"{name}@example.com"}
    visitor = Visitor(server)
    answer = come_back(visitor, provider, "thief")
    if name in taken_over:
        assert answer.status == 303 and visitor.get("/api/user").json["name"] == name
    else:
        assert answer.status == 403 and COOKIE not in visitor.cookies
        assert "The user name belongs to another person." in page_text(answer)


def test_a_suffix_keeps_names_apart(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(name_suffix="@corp")
    provider.accounts["ann"]["preferred_username"] = "root"
    come_back(Visitor(server), provider)
    assert user(server, "root@corp")["admin"] is False


@pytest.mark.slow
def test_the_email_look_up_needs_verified_addresses_on_both_sides(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(
        "oauth-allow-insecure-email-lookup = true",
        allowed_domains=["example.com"],
        allow_sign_up=False,
    )
    server.query("CREATE USER todd WITH PASSWORD 'pw-todd-1'", ROOT)
    id = user(server, "todd")["id"]
    visitor = Visitor(server)
    for verified, status in ((False, 403), (True, 303)):
        profile = {"email": "Ann@Example.com", "emailVerified": verified}
        assert send(server, "PATCH", f"/api/users/{id}", profile).status == 200
        assert come_back(visitor, provider).status == status
    assert visitor.get("/api/user").json["name"] == "todd"


@pytest.mark.slow
def test_disabled_and_pending_users_stay_out(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server()
    come_back(Visitor(server), provider)
    id = user(server, "ann")["id"]
    assert send(server, "PUT", f"/api/users/{id}/disable").status == 204
    answer = come_back(Visitor(server), provider)
    assert answer.status == 403 and "may not sign in here" in page_text(answer)


@pytest.mark.slow
def test_a_dropped_user_does_not_come_back_with_an_old_sign_in(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server()
    visitor = Visitor(server)
    come_back(visitor, provider)
    begun = visitor.get("/login/corp")
    callback = path_of(provider.sign_in(begun.headers["Location"], "ann"))
    server.query("DROP USER ann", ROOT)
    assert visitor.get(callback).status == 403
    assert user(server, "ann") is None


@pytest.mark.slow
def test_people_link_and_unlink_accounts_themselves(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(allow_sign_up=False)
    server.query("CREATE USER todd WITH PASSWORD 'pw-todd-1'", ROOT)
    todd, other = Visitor(server, "todd", "pw-todd-1"), Visitor(server)
    assert 'href="/login/corp?link=1"' in page_text(todd.get("/console/account"))
    answer = come_back(todd, provider, start="/login/corp?link=1")
    assert (answer.status, answer.headers["Location"]) == (303, "/console/account")
    (identity,) = todd.get("/api/user/identities").json
    assert (identity["subject"], identity["providers"]) == ("ann", ["corp"])
    assert come_back(other, provider).status == 303
    assert other.get("/api/user").json["name"] == "todd"
    # The identity belongs to one user.
    server.query("CREATE USER carla WITH PASSWORD 'pw-carla-1'", ROOT)
    carla = Visitor(server, "carla", "pw-carla-1")
    answer = come_back(carla, provider, start="/login/corp?link=1")
    assert answer.status == 409 and "belongs to another user" in page_text(answer)
    page = todd.follow(todd.post("/console/account/identities", {"identity": identity["id"]}))
    assert "Unlinked." in page_text(page) and todd.get("/api/user/identities").json == []
    assert other.get("/api/user").status == 401  # its session came by that account
    assert come_back(Visitor(server), provider).status == 403


@pytest.mark.slow
def test_a_link_is_for_the_session_that_began_it(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server(allow_sign_up=False)
    for name in ("todd", "carla"):
        server.query(f"CREATE USER {name} WITH PASSWORD 'pw-{name}-1'", ROOT)
    todd, carla = Visitor(server, "todd", "pw-todd-1"), Visitor(server, "carla", "pw-carla-1")

    def callback_of(visitor: Visitor) -> str:
        url = visitor.get("/login/corp?link=1").headers["Location"]
        return path_of(provider.sign_in(url, "ann"))

    callback = callback_of(todd)
    assert carla.get(callback).status == 400
    flow = {name: value for name, value in todd.cookies.items() if name != COOKIE}
    carla.cookies |= flow
    assert carla.get(callback).status == 403
    callback = callback_of(todd)
    send(server, "DELETE", "/api/session", cookie=todd.cookies[COOKIE])
    assert todd.get(callback).status == 403
    for id in (user(server, "todd")["id"], user(server, "carla")["id"]):
        assert send(server, "GET", f"/api/users/{id}/identities").json == []


@pytest.mark.slow
def test_the_only_way_to_sign_in_stays(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server()
    ann = Visitor(server)
    come_back(ann, provider)
    (identity,) = ann.get("/api/user/identities").json
    path = f"/api/user/identities/{identity['id']}"
    answer = send(server, "DELETE", path, cookie=ann.cookies[COOKIE])
    assert (answer.status, answer.json["error"]) == (409, "this is the only way to sign in")
    page = ann.post("/console/account/identities", {"identity": identity["id"]})
    assert page.status == 409 and "only way to sign in" in page_text(page)


def test_an_external_user_has_no_password_to_set(
    start_server: Callable[..., LocalServer], provider: FakeOpenID
) -> None:
    server = start_server()
    come_back(Visitor(server), provider)
    answer = server.query("SET PASSWORD FOR ann = 'pw-ann-12'", ROOT)
    assert b"external users can't be modified" in answer.body


def github_table(github: FakeGitHub, **options: Any) -> str:
    return provider_table(
        github,
        "github",
        kind="github",
        auth_url=f"{github.url}{github.authorize_path}",
        token_url=f"{github.url}{github.token_path}",
        api_url=github.api_url,
        **options,
    )


@pytest.mark.slow
def test_people_sign_in_by_github(serve: Serve, tmp_path: Path) -> None:
    with FakeGitHub() as github:
        options = {
            "allowed_organizations": ["acme"],
            "groups_attribute_path": "groups",
            "db_mapping": ["@acme/staff:shop:WRITE", "acme:shop:READ"],
        }
        server = serve_with(serve, tmp_path, github_table(github, **options))
        visitor = Visitor(server)
        answer = come_back(visitor, github, start="/login/github")
        assert answer.status == 303, page_text(answer)
        found = visitor.get("/api/user").json
        assert (found["name"], found["email"]) == ("ann", "ann@example.com")
        assert found["grants"] == {"shop": "ALL PRIVILEGES"}
        github.say(github.token_path, as_json({"error": "bad_verification_code"}))
        assert come_back(Visitor(server), github, start="/login/github").status == 403


def test_people_sign_in_by_gitlab(serve: Serve, tmp_path: Path) -> None:
    with FakeGitLab() as gitlab:
        options = {"kind": "gitlab", "allowed_groups": ["acme/staff"]}
        server = serve_with(serve, tmp_path, provider_table(gitlab, "gitlab", **options))
        visitor = Visitor(server)
        answer = come_back(visitor, gitlab, start="/login/gitlab")
        assert answer.status == 303, page_text(answer)
        assert visitor.get("/api/user").json["name"] == "ann"
