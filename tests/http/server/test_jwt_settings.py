"""The options of `[auth.jwt]`: valid values, invalid values, and their effect on tokens."""

import asyncio
import json
import time
from typing import Any

import pytest

from headgate_engine import TokenRights
from headgate_grammar import Privilege
from headgate_server.auth.credentials import IssuerToken, RequestCredentials, read_credentials
from headgate_server.auth.errors import NoRights
from headgate_server.auth.jwt.issuers import IssuerRegistry
from headgate_server.auth.jwt.token_parser import TokenError
from headgate_server.auth.jwt.verifier import TokenVerifier
from headgate_server.config.jwt import JwtSettings, read_jwt_settings
from headgate_server.http.urlencoded import Pairs
from support import made_tokens as made
from support.key_server import KeyServer, Said

KEY = made.key("settings")
OTHER = made.key("settings-2", "EC", "P-256")
BASE: dict[str, Any] = {
    "enabled": True,
    "header-name": "X-Token",
    "username-claim": "sub",
    "key-value": made.pem(KEY),
}


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "todd", "exp": int(time.time()) + 300} | more


def verdict(settings: JwtSettings, text: str) -> str:
    """Returns the user's name, or the reason why the token is rejected."""

    async def verify() -> str:
        try:
            return (await IssuerRegistry(settings).verify(text))[0].identity.name
        except (TokenError, NoRights) as error:
            return str(error)

    return asyncio.run(verify())


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"header-name": "X-Tok€"}, "header-name: invalid header name"),
        ({"header-name": "X Y"}, "header-name: invalid header name"),
        ({"header-name": ""}, "header-name: expected"),
        ({"expect-claims": "[" * 100_000}, "expect-claims: not JSON"),
        ({"role-attribute-path": "(" * 5000}, "role-attribute-path: invalid JMESPath"),
        ({"jwk-set-value": '{"keys": []}'}, "key source ambiguous"),
        ({"skip_org_role_sync": True, "grant-sync": "persist"}, "skip-org-role-sync: "),
        ({"issuer": [{"iss": "a", "header-name": "X"}]}, "issuer: header-name: expected only in"),
        (
            {"issuer": [{"iss": "a", "max_token_bytes": 5}]},
            "issuer: max-token-bytes: expected only",
        ),
        ({"issuer": [{"key-value": "x"}]}, "issuer: iss: expected"),
        ({"issuer": {"iss": "a"}}, "issuer: expected tables"),
        ({"algorithms": ["none"]}, "algorithms: 'none': expected"),
        ({"leeway": "soon"}, "leeway: expected a duration"),
        ({"max-token-bytes": 0}, "max-token-bytes: expected a whole number above 0"),
        ({"adopt-existing": "some"}, "adopt-existing: expected none, non_admin or any"),
        ({"no-such": 1}, "no-such: unknown option"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_option(more: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError) as raised:
        IssuerRegistry(read_jwt_settings(BASE | more))
    assert str(raised.value).startswith(error) and "\n" not in str(raised.value)


def test_an_issuer_that_is_named_is_the_only_one() -> None:
    settings = read_jwt_settings(BASE | {"iss": "https://one"})
    assert verdict(settings, made.token(KEY, claims(iss="https://one"))) == "todd"
    for other in ({"iss": "https://evil"}, {}, {"iss": None}):
        assert verdict(settings, made.token(KEY, claims(**other))) == "iss is not the expected one"


def test_an_issuer_that_is_switched_off_is_nobodys() -> None:
    issuer = {"iss": "https://two", "key-value": made.pem(OTHER), "enabled": False}
    settings = read_jwt_settings(BASE | {"issuer": [issuer]})
    for key, algorithm in ((OTHER, "ES256"), (KEY, "RS256")):
        text = made.token(key, claims(iss="https://two"), algorithm)
        assert verdict(settings, text) == "unknown iss"


def test_an_issuers_own_way_to_a_name_takes_the_place_of_the_first_ones() -> None:
    issuer = {"iss": "https://two", "key-value": made.pem(OTHER), "username-attribute-path": "e"}
    settings = read_jwt_settings(BASE | {"issuer": [issuer]})
    assert verdict(settings, made.token(OTHER, claims(iss="https://two", e="tina"), "ES256")) == (
        "tina"
    )


def test_what_every_token_has_to_claim_holds_for_every_issuer() -> None:
    issuer: dict[str, Any] = {"iss": "https://two", "key-value": made.pem(OTHER)}
    first = BASE | {"expect-claims": {"iss": "https://one", "azp": "influx"}}
    settings = read_jwt_settings(first | {"issuer": [issuer]})

    def judged(**more: Any) -> str:
        text = made.token(OTHER, claims(iss="https://two", **more), "ES256")
        return verdict(settings, text)

    assert judged(azp="influx") == "todd"
    assert judged(azp="another") == judged() == "a claim is not what is expected"
    issuer["expect-claims"] = {}
    settings = read_jwt_settings(first | {"issuer": [issuer]})
    assert judged() == "todd"


def test_an_issuer_may_sync_where_the_first_does_not() -> None:
    issuer = {"iss": "https://two", "key-value": made.pem(OTHER), "grant-sync": "persist"}
    settings = read_jwt_settings(BASE | {"skip-org-role-sync": True, "issuer": [issuer]})
    assert (settings.grant_sync, settings.also[0].grant_sync) == ("off", "persist")


@pytest.mark.parametrize("iat", [-(10**400), 10**400, -5, 1.5])
def test_numbers_beyond_any_clock_are_judged_like_others(iat: float) -> None:
    settings = read_jwt_settings(BASE | {"max-token-age": "1h"})
    assert verdict(settings, made.token(KEY, claims(iat=iat))) != "todd"


@pytest.mark.parametrize(
    ("claim", "text"),
    [("sub", "a\nb"), ("sub", "x" * 1025), ("iss", "a\x1b[2J"), ("iss", "y" * 2000)],
)
def test_what_cannot_stand_in_an_audit_is_refused(claim: str, text: str) -> None:
    settings = read_jwt_settings(BASE | {"username-claim": "name"})
    found = verdict(settings, made.token(KEY, claims(name="todd") | {claim: text}))
    assert found == f"{claim} is too long, or not printable"


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("avg(n)", {"n": [10**400, 1]}),
        ("floor(to_number('inf'))", {}),
        ("contains(a, 'b')", {"a": 5}),
        ("sort_by(a, &b)", {"a": [{"b": 1}, {"b": "x"}]}),
    ],
)
def test_an_expression_that_cannot_be_told_is_no_role(
    expression: str, values: dict[str, Any]
) -> None:
    settings = read_jwt_settings(BASE | {"role-attribute-path": expression})
    assert TokenVerifier(settings).rights(claims(**values)) == TokenRights()


def test_a_mapping_for_all_users_counts_alone() -> None:
    settings = read_jwt_settings(BASE | {"db-mapping": ["*:public:READ"]})
    assert TokenVerifier(settings).rights(claims()) == TokenRights({"public": Privilege.READ})


def test_requests_with_one_token_are_answered_alike_while_its_key_is_withdrawn() -> None:
    sets = [{"keys": [made.jwk(key, kid="k")]} for key in (KEY, OTHER)]
    said = [
        Said(200, json.dumps(sets[0]).encode()),
        Said(200, json.dumps(sets[1]).encode(), {}, 0.2),
    ]
    with KeyServer(said) as server:
        settings = JwtSettings(
            header_name="X-Token",
            username_claim="sub",
            jwk_set_url=server.url,
            allow_insecure_jwk_set_url=True,
        )
        text = made.token(KEY, claims(), header={"kid": "k"})

        async def work() -> list[str]:
            issuers = IssuerRegistry(settings)
            await issuers.verify(text)
            source: Any = issuers._default.source if issuers._default is not None else None
            source._expires_at = source._refresh_at = 0.0  # as if the keys had expired
            found = await asyncio.gather(
                *(issuers.verify(text) for _ in range(5)), return_exceptions=True
            )
            await issuers.close()
            return [str(one) for one in found]

        assert asyncio.run(work()) == ["no key verifies the signature"] * 5


def test_no_user_is_adopted_unless_that_is_set() -> None:
    issuer = {"iss": "https://two", "key-value": made.pem(OTHER)}
    settings = read_jwt_settings(BASE | {"issuer": [issuer]})
    assert (settings.adopt_existing, settings.also[0].adopt_existing) == ("none", "none")


@pytest.mark.parametrize(
    ("entry", "group", "database"),
    [
        (r"CORP\sre:a:READ", r"CORP\sre", "a"),
        (r"CORP\\sre:a:READ", r"CORP\\sre", "a"),
        (r"ns\:team:a:READ", "ns:team", "a"),
        (r"x\\:y:a:READ", r"x\:y", "a"),
        (r"team:d\b:READ", "team", r"d\b"),
        (r"team:d\:b", "team", "d:b"),
        ("a\nb:a:READ", "a\nb", "a"),
    ],
)
def test_a_backslash_in_a_mapping_escapes_a_colon_and_is_else_itself(
    entry: str, group: str, database: str
) -> None:
    issuer = TokenVerifier(
        read_jwt_settings(BASE | {"databases-attribute-path": "groups", "db-mapping": [entry]})
    )
    assert issuer.rights({"groups": [group]}) == TokenRights({database: Privilege.READ})
    assert issuer.rights({"groups": [group + "x"]}) == TokenRights()


@pytest.mark.parametrize("entry", ["team", "team:", ":a:READ", r"team\:a", "t:a:READ:x", "t:a:"])
def test_a_mapping_that_has_no_three_parts_is_refused(entry: str) -> None:
    more = {"databases-attribute-path": "groups", "db-mapping": [entry]}
    with pytest.raises(ValueError, match="^db-mapping: "):
        TokenVerifier(read_jwt_settings(BASE | more))


JWKS = json.dumps({"keys": [made.jwk(KEY, kid="one"), made.jwk(OTHER, kid="two")]})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"kid": "one"}, "todd"),
        ({"kid": "three"}, "unknown kid"),
        ({"kid": ""}, "unknown kid"),
        ({"kid": "two"}, "no key verifies the signature"),
        ({}, "no kid, but the keys have one"),
    ],
)
def test_a_token_that_no_key_is_for_is_said_to_be_so(header: dict[str, str], reason: str) -> None:
    settings = read_jwt_settings(
        {key: BASE[key] for key in BASE if key != "key-value"} | {"jwk-set-value": JWKS}
    )
    assert verdict(settings, made.token(KEY, claims(), header=header)) == reason


@pytest.mark.parametrize(
    ("accepted", "reason"),
    [
        (False, "signed over its base64 padding, see accept-padded-signature of [auth.jwt]"),
        (True, "todd"),
    ],
)
def test_a_token_that_was_signed_with_its_padding_is_said_to_be_so(
    accepted: bool, reason: str
) -> None:
    settings = read_jwt_settings(BASE | {"accept-padded-signature": accepted})
    text = next(
        token
        for pad in ("", "x", "xx")
        if "=" in (token := made.token(KEY, claims(pad=pad), padded=True)).split(".")[1]
    )
    assert verdict(settings, text) == reason
    wrong = made.token(made.key("third"), claims(), padded=True)
    assert verdict(settings, wrong) == "no key verifies the signature"


@pytest.mark.parametrize("iat", [None, 0, 1.5, 1_000_000, -5])
def test_an_identity_has_the_earliest_time_of_issue(iat: float | None) -> None:
    issuer = TokenVerifier(read_jwt_settings(BASE | {"leeway": "30s"}))
    earliest = None if iat is None else max(0.0, iat) - 30.0
    assert issuer.identity({"sub": "todd", "iat": iat}).issued_at == earliest
    assert issuer.identity({"sub": "todd", "iat": -(10**400)}).issued_at == -30.0


@pytest.mark.parametrize(
    ("header", "parameter", "expected"),
    [
        ("", "b", "b"),
        (" \t", "b", "b"),
        ("\xa0", "b", "\xa0"),
        ("\x85", "b", "\x85"),
        ("\x1f", "b", "\x1f"),
        ("\ta ", "b", "a"),
        ("Bearer  a", "b", "a"),
        ("Bearer\xa0a", "b", "Bearer\xa0a"),
        ("", "bearer b", "b"),
        ("", "Bearer b", "b"),
        ("", "Bearer\tb", "Bearer\tb"),
        ("", "Bearer", "Bearer"),
    ],
)
def test_a_token_ends_at_blanks_and_tabs_and_at_nothing_else(
    header: str, parameter: str, expected: str
) -> None:
    headers = {"X-Token": [header], "authorization": []}
    shown = RequestCredentials(Pairs({"auth_token": parameter}), headers.__getitem__)
    found = read_credentials(shown, read_jwt_settings(BASE | {"url-login": True}))
    assert found == IssuerToken(expected)


@pytest.mark.parametrize("name", [" ", "   ", "\xa0", "\u2003", "a\x1fb", ""])
def test_a_name_of_blanks_is_no_users(name: str) -> None:
    settings = read_jwt_settings(BASE | {"username-claim": "name"})
    assert "user name" in verdict(settings, made.token(KEY, claims(name=name)))


@pytest.mark.parametrize("stale", ["0s", "24h"])
def test_without_a_lifetime_of_keys_each_verification_looks_at_the_set(stale: str) -> None:
    sets = [[made.jwk(KEY, kid="one")], [made.jwk(OTHER, kid="two")]]
    said = [Said(200, json.dumps({"keys": entries}).encode()) for entries in sets]
    text = made.token(KEY, claims(), header={"kid": "one"})

    async def work(settings: JwtSettings) -> list[str]:
        issuers = IssuerRegistry(settings)
        names = [(await issuers.verify(text))[0].identity.name for _ in range(3)]
        assert len(server.asked) == 3
        server.set(1)
        for _ in range(2):
            with pytest.raises(TokenError) as refused:
                await issuers.verify(text)
            names.append(str(refused.value))
        await issuers.close()
        return names

    with KeyServer(said, stays=True) as server:
        options = {
            "header-name": "X-Token",
            "username-claim": "sub",
            "jwk-set-url": server.url,
            "allow-insecure-jwk-set-url": True,
            "cache-ttl": "0s",
            "stale-if-error": stale,
        }
        found = asyncio.run(work(read_jwt_settings(options)))
    assert found == ["todd"] * 3 + ["unknown kid"] * 2
