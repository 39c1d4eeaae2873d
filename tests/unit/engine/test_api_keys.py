"""API keys: their form, rights, life and limits."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_engine import (
    UNRESTRICTED,
    ApiKey,
    AuthenticationFailed,
    BadKey,
    BadPassword,
    DatabaseNotFound,
    Engine,
    KeyExists,
    KeyLimits,
    KeyNotFound,
    KeyRejected,
    KeyScope,
    NotAuthorized,
    Passwords,
    Principal,
    Store,
    TokenRights,
    TooManyKeys,
    UserNotFound,
    UserStatus,
    key_fault,
    key_hash,
    new_key_text,
)
from headgate_grammar import Privilege

VECTOR = "hgk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg_4afddd57"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Fixture:
    engine: Engine
    clock: Clock = field(default_factory=Clock)

    def make(self, owner: str = "todd", name: str = "k", **options: object) -> tuple[ApiKey, str]:
        scope = options.pop("scope", KeyScope())
        assert isinstance(scope, KeyScope)
        user = self.engine.user(owner)
        if user is None:
            raise UserNotFound
        return self.engine.api_keys.create(
            UNRESTRICTED,
            user,
            name,
            scope,
            **options,  # type: ignore[arg-type]
        )

    def code(self, text: str, username: str = "") -> str:
        """Returns the code with which the key *text* is rejected; "good" if it is accepted."""
        try:
            self.engine.api_keys.authenticate(text, username)
        except KeyRejected as error:
            return error.code
        except AuthenticationFailed:
            return "failed"
        return "good"

    def principal(self, name: str) -> Principal:
        return Principal(self.engine.user(name), "password")


@pytest.fixture
def fixture(store: Store) -> Fixture:
    clock = Clock()
    limits = KeyLimits(max_per_user=3)
    engine = Engine(store, Passwords(4), key_limits=limits, clock=clock)
    engine.create_user("root", "Toor-1", admin=True)
    for name in ("shop", "bank"):
        engine.create_database(name)
    for name in ("todd", "ann"):
        engine.create_user(name, "s3cret")
    engine.grant(Privilege.READ, "shop", "todd")
    return Fixture(engine, clock)


def test_the_form_is_that_of_the_test_vector() -> None:
    assert key_fault(VECTOR) == ""
    expected = "652152c28f322aef089bf477438a0446d5d302c6dcb9caf2bcc799059cfb2837"
    assert key_hash(VECTOR).hex() == expected
    text = new_key_text()
    assert len(text) == len(VECTOR) == 56 and key_fault(text) == "" and text != new_key_text()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "parts"),
        ("hgk_", "parts"),
        ("hgk_a_b_c", "parts"),
        ("hgk_" + "a" * 200 + "_12345678", "parts"),
        (VECTOR.replace("hgk", "HGK"), "prefix"),
        (VECTOR.replace("hgk", ""), "prefix"),
        (VECTOR.replace("g_4", "_4"), "characters"),
        (VECTOR.replace("ABC", "AB\u0661"), "characters"),
        (VECTOR.replace("ABC", "AB-"), "characters"),
        (VECTOR.replace("57", "58"), "checksum"),
        (VECTOR.replace("4afd", "4AFD"), "checksum"),
        (VECTOR.replace("01", "10"), "checksum"),
        (VECTOR + "\0", "checksum"),
    ],
)
def test_what_is_wrong_with_a_text_is_named_without_the_store(text: str, fault: str) -> None:
    assert key_fault(text) == fault


@given(st.text(max_size=60))
def test_any_text_is_judged_and_hashed(text: str) -> None:
    assert key_fault(text) and len(key_hash(text)) == 32


def test_a_text_of_a_keys_form_is_no_password(fixture: Fixture) -> None:
    with pytest.raises(BadPassword, match="must not look like an API key"):
        fixture.engine.create_user("bob", VECTOR)


@pytest.mark.parametrize(
    ("scope", "owner", "expected"),
    [
        (KeyScope(), "todd", {"shop": 1}),
        (KeyScope(everywhere=Privilege.WRITE), "todd", {}),
        (KeyScope(everywhere=Privilege.NONE, grants={"shop": Privilege.ALL}), "todd", {"shop": 1}),
        (KeyScope(), "root", {"shop": 3, "bank": 3}),
        (KeyScope(everywhere=Privilege.READ), "root", {"shop": 1, "bank": 1}),
        (KeyScope(grants={"shop": Privilege.NONE}), "root", {"bank": 3}),
        (KeyScope(admin=True), "root", {}),
    ],
)
def test_a_key_has_what_its_owner_has_and_its_scope_includes(
    fixture: Fixture, scope: KeyScope, owner: str, expected: dict[str, int]
) -> None:
    key, text = fixture.make(owner, scope=scope)
    principal = fixture.engine.api_keys.authenticate(text)
    assert (principal.name, principal.method) == (owner, "key")
    assert principal.key is not None and principal.key.id == key.id
    assert principal.has_full_access == scope.admin
    if not scope.admin:
        assert principal.user is not None and principal.user.grants == expected


def test_a_change_of_the_owners_rights_counts_at_once(fixture: Fixture) -> None:
    engine, (_, text) = fixture.engine, fixture.make()
    principal = engine.api_keys.authenticate(text)
    engine.grant(Privilege.ALL, "bank", "todd")
    engine.revoke(Privilege.READ, "shop", "todd")
    for now in (engine.api_keys.authenticate(text), engine.renew(principal)):
        assert now.user is not None and now.user.grants == {"bank": Privilege.ALL}
    engine.drop_database("bank")
    engine.create_database("bank")
    assert engine.renew(principal).user == engine.api_keys.authenticate(text).user
    admin = fixture.make("root", scope=KeyScope(admin=True))[1]
    engine.grant_admin("todd")
    engine.revoke_admin("root")
    assert not engine.api_keys.authenticate(admin).has_full_access


def test_a_key_ends_with_its_owner(fixture: Fixture) -> None:
    engine, (_, text) = fixture.engine, fixture.make()
    principal = engine.api_keys.authenticate(text)
    for status, code in ((UserStatus.DISABLED, "failed"), (UserStatus.ACTIVE, "good")):
        user = engine.user("todd")
        assert user is not None
        engine.accounts.set_status(UNRESTRICTED, user, status)
        assert fixture.code(text) == code
    engine.set_password("todd", "other")
    assert fixture.code(text) == "good"
    engine.drop_user("todd")
    engine.create_user("todd", "s3cret")
    assert fixture.code(text) == "unknown"
    with pytest.raises(KeyRejected):
        engine.renew(principal)


@pytest.mark.parametrize(
    ("username", "code"),
    [("", "good"), ("api_key", "good"), ("apikey", "good"), ("todd", "good"), ("ann", "failed")],
)
def test_the_name_beside_a_key_is_that_of_its_owner(
    fixture: Fixture, username: str, code: str
) -> None:
    assert fixture.code(fixture.make()[1], username) == code


def test_a_key_expires_and_is_revoked(fixture: Fixture) -> None:
    api_keys = fixture.engine.api_keys
    key, text = fixture.make(lifetime=10)
    fixture.clock.now += 9.9
    assert fixture.code(text) == "good"
    fixture.clock.now += 0.1
    assert fixture.code(text) == "expired"
    api_keys.revoke(UNRESTRICTED, key)
    assert fixture.code(text) == "revoked"
    with pytest.raises(KeyNotFound):
        api_keys.revoke(UNRESTRICTED, key)
    again, text = fixture.make(expires_at=2000)
    assert again.expires_at == 2000 and api_keys.find(again.id).name == "k"
    todd = fixture.engine.user("todd")
    assert todd is not None and api_keys.revoke_all(UNRESTRICTED, todd) == 1
    assert fixture.code(text) == "revoked"
    assert fixture.code(new_key_text()) == "unknown"
    assert fixture.code("hgk_nonsense") == "malformed"


def test_rotation_leaves_the_previous_text_for_a_while(fixture: Fixture) -> None:
    api_keys = fixture.engine.api_keys
    key, first = fixture.make(lifetime=1000)
    fixture.clock.now += 400
    key, second = api_keys.rotate(UNRESTRICTED, key, grace=60)
    assert key.expires_at == 2400 and key.previous_until == 1460
    assert [fixture.code(text) for text in (first, second)] == ["good", "good"]
    principal = api_keys.authenticate(first)
    fixture.clock.now += 60
    assert [fixture.code(text) for text in (first, second)] == ["revoked", "good"]
    with pytest.raises(KeyRejected, match="revoked"):
        fixture.engine.renew(principal)
    key, third = api_keys.rotate(UNRESTRICTED, key, grace=0, lifetime=0)
    assert key.expires_at == 0
    assert [fixture.code(text) for text in (second, third)] == ["unknown", "good"]
    key, fourth = api_keys.rotate(UNRESTRICTED, key)
    api_keys.end_previous(UNRESTRICTED, key)
    assert [fixture.code(text) for text in (third, fourth)] == ["unknown", "good"]
    with pytest.raises(KeyNotFound):
        api_keys.end_previous(UNRESTRICTED, key)
    with pytest.raises(BadKey, match="graceSeconds: expected 0 to 604800"):
        api_keys.rotate(UNRESTRICTED, key, grace=604_801)


@pytest.mark.parametrize(
    ("creator", "owner", "scope", "required"),
    [
        ("todd", "ann", KeyScope(), "admin privilege"),
        ("todd", "todd", KeyScope(admin=True), "admin privilege"),
        ("todd", "todd", KeyScope(grants={"shop": Privilege.ALL}), "WRITE on shop"),
        ("todd", "todd", KeyScope(grants={"bank": Privilege.READ}), "READ on bank"),
        ("todd", "todd", KeyScope(grants={"shop": Privilege.READ}), ""),
        ("root", "todd", KeyScope(grants={"bank": Privilege.ALL}), ""),
    ],
)
def test_a_user_makes_no_key_with_more_than_they_have(
    fixture: Fixture, creator: str, owner: str, scope: KeyScope, required: str
) -> None:
    principal, user = fixture.principal(creator), fixture.engine.user(owner)
    assert user is not None
    try:
        fixture.engine.api_keys.create(principal, user, "x", scope)
    except NotAuthorized as error:
        assert error.required == required
    else:
        assert not required


def test_a_key_makes_no_keys_unless_it_has_the_admin_flag(fixture: Fixture) -> None:
    api_keys = fixture.engine.api_keys
    for owner, scope, allowed in (
        ("todd", KeyScope(), False),
        ("root", KeyScope(), False),
        ("root", KeyScope(admin=True), True),
    ):
        principal = api_keys.authenticate(fixture.make(owner, f"{owner}{allowed}", scope=scope)[1])
        user = fixture.engine.user(owner)
        assert user is not None
        if allowed:
            api_keys.create(principal, user, "y", KeyScope())
        else:
            with pytest.raises(NotAuthorized, match="a key cannot make keys"):
                api_keys.create(principal, user, "y", KeyScope())


def test_what_cannot_be_made_is_named(fixture: Fixture) -> None:
    key, _ = fixture.make()
    for error, owner, name, scope in (
        (UserNotFound, "nix", "x", KeyScope()),
        (DatabaseNotFound, "todd", "x", KeyScope(grants={"none": Privilege.READ})),
        (KeyExists, "todd", "k", KeyScope()),
        (BadKey, "todd", "", KeyScope()),
        (BadKey, "todd", "x" * 256, KeyScope()),
        (BadKey, "todd", "a\nb", KeyScope()),
        (BadKey, "todd", "hgk_abc", KeyScope()),
        (BadKey, "root", "x", KeyScope(admin=True, everywhere=Privilege.READ)),
    ):
        with pytest.raises(error):
            fixture.make(owner, name, scope=scope)
    for number in range(2):
        fixture.make("todd", f"{number}")
    with pytest.raises(TooManyKeys):
        fixture.make("todd", "3")
    for id in ("", "0", "-1", "x", "999", "9" * 40):
        with pytest.raises(KeyNotFound):
            fixture.engine.api_keys.find(id)
    ann = fixture.engine.user("ann")
    with pytest.raises(KeyNotFound):
        fixture.engine.api_keys.find(key.id, owner=ann)


@pytest.mark.parametrize(
    ("limit", "options", "error"),
    [
        (-1, {"lifetime": -1}, "ttlSeconds: expected 0 or more"),
        (-1, {"lifetime": 5, "expires_at": 2000}, "expected one of them"),
        (-1, {"expires_at": 1000}, "expected a time to come"),
        (-1, {"lifetime": 10**15}, "before the year 10000"),
        (60, {}, "Number of seconds before expiration should be set"),
        (60, {"lifetime": 0}, "Number of seconds before expiration should be set"),
        (60, {"lifetime": 61}, "is greater than the global limit"),
        (60, {"expires_at": 1061}, "is greater than the global limit"),
        (60, {"lifetime": 60}, ""),
        (-1, {}, ""),
    ],
)
def test_the_end_of_a_key_is_checked(
    store: Store, limit: int, options: dict[str, Any], error: str
) -> None:
    limits = KeyLimits(max_lifetime=limit)
    engine = Engine(store, Passwords(4), key_limits=limits, clock=Clock())
    engine.create_user("todd", "s3cret")
    try:
        Fixture(engine).make(**options)
    except BadKey as refused:
        assert error and error in str(refused)
    else:
        assert not error


def test_the_audit_has_each_step_and_no_text_of_a_key(fixture: Fixture) -> None:
    api_keys = fixture.engine.api_keys
    before = len(fixture.engine.store.audit())
    scope = KeyScope(everywhere=Privilege.NONE, grants={"shop": Privilege.WRITE})
    key, text = fixture.make("todd", 'e"u', scope=scope, lifetime=60)
    key, second = api_keys.rotate(UNRESTRICTED, key)
    api_keys.revoke(UNRESTRICTED, key)
    found = [record.statement for record in fixture.engine.store.audit()][before:]
    number = f'-- key {key.id} "e\\"u" of todd'
    assert found == [
        '-- key "e\\"u" of todd made: WRITE ON shop, until 1970-01-01T00:17:40Z',
        f"{number} rotated, until 1970-01-01T00:17:40Z",
        f"{number} revoked",
    ]
    assert not any(part in str(found) for part in (text[4:20], second[4:20]))


def test_an_expired_text_is_not_revived_by_a_rotation(fixture: Fixture) -> None:
    api_keys = fixture.engine.api_keys
    key, first = fixture.make(lifetime=100)
    fixture.clock.now += 50
    key, second = api_keys.rotate(UNRESTRICTED, key, grace=3600)
    assert key.previous_until == 1100
    fixture.clock.now = 1100
    assert [fixture.code(text) for text in (first, second)] == ["revoked", "good"]
    fixture.clock.now = 1150
    assert fixture.code(second) == "expired"
    key, third = api_keys.rotate(UNRESTRICTED, key, lifetime=0)
    assert key.previous == b"" and fixture.code(third) == "good"
    assert fixture.code(second) == "unknown"


def test_a_key_of_a_dropped_user_is_not_made_for_a_later_one(fixture: Fixture) -> None:
    engine, old = fixture.engine, fixture.principal("todd")
    assert old.user is not None
    engine.drop_user("todd")
    engine.create_user("todd", "other")
    with pytest.raises(UserNotFound):
        engine.api_keys.create(old, old.user, "x", KeyScope())


def test_a_login_with_the_rights_of_one_request_makes_no_key(fixture: Fixture) -> None:
    key, _ = fixture.make()
    principal = replace(fixture.principal("todd"), transient_rights=TokenRights())
    assert principal.user is not None
    with pytest.raises(NotAuthorized, match="a login with lasting rights"):
        fixture.engine.api_keys.create(principal, principal.user, "x", KeyScope())
    with pytest.raises(NotAuthorized, match="a login with lasting rights"):
        fixture.engine.api_keys.rotate(principal, key)
