"""API keys that came from a Pyroscope: the form of their text, and their first use."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_engine import (
    UNRESTRICTED,
    ApiKey,
    AuthenticationFailed,
    BadKey,
    BadPassword,
    Engine,
    ImportedSecret,
    KeyExists,
    KeyRejected,
    KeyScope,
    Passwords,
    Store,
    User,
    UserNotFound,
    UserStatus,
    add_imported_key,
    imported_secret,
    is_key_text,
    key_fault,
)
from headgate_grammar import Privilege
from support.pyroscope_db import key_text
from support.store_changes import change

SECRET = b"\0a\0" + bytes(range(200, 229))
TEXT = key_text(300, SECRET)


class CountedPasswords(Passwords):
    """Counts the verifications of secrets."""

    verified = 0

    def verify_secret(self, hash: str, secret: bytes) -> bool:
        self.verified += 1
        return super().verify_secret(hash, secret)


@dataclass
class Fixture:
    store: Store
    passwords: CountedPasswords = field(default_factory=lambda: CountedPasswords(4))
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.engine = Engine(self.store, self.passwords, clock=lambda: self.now)
        self.engine.create_database("shop")
        self.engine.create_user("agents", "s3cret")
        self.engine.grant(Privilege.ALL, "shop", "agents")

    def add(
        self,
        name: str = "eu",
        number: int = 300,
        secret: bytes = SECRET,
        *,
        owner: str = "agents",
        expires_at: int = 0,
    ) -> None:
        hash = bcrypt.hashpw(secret, bcrypt.gensalt(4, b"2a")).decode()
        scope = KeyScope(everywhere=Privilege.WRITE)
        change(
            self.store,
            lambda tx: add_imported_key(
                tx, owner, name, number, hash, scope, created_at=5, expires_at=expires_at
            ),
        )

    def key(self, name: str = "eu") -> ApiKey:
        return next(key for key in self.store.api_keys() if key.name == name)

    def use(self, text: str = TEXT) -> str:
        """Returns the code with which the key *text* is rejected; "good" if it is accepted."""
        shown = imported_secret(text)
        assert shown is not None
        if self.engine.imported_keys.is_unused(shown):
            self.engine.imported_keys.settle(shown)
        try:
            self.engine.api_keys.authenticate(text)
        except KeyRejected as error:
            return error.code
        except AuthenticationFailed:
            return "failed"
        return "good"


@pytest.fixture
def fixture(store: Store) -> Fixture:
    return Fixture(store)


@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=32, max_size=32))
def test_the_text_of_a_key_has_its_number_and_its_secret(number: int, secret: bytes) -> None:
    text = key_text(number, secret)
    assert imported_secret(text) == ImportedSecret(number, secret)
    assert ImportedSecret(number, secret).text == text
    assert is_key_text(text) and key_fault(text) == ""
    assert secret.hex() not in repr(imported_secret(text)) and repr(secret) not in repr(
        imported_secret(text)
    )


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda it: urlsafe_b64encode(it).decode()))
def test_a_text_has_at_most_one_meaning(text: str) -> None:
    shown = imported_secret("psx-" + text)
    assert shown is None or shown.text == "psx-" + text
    assert imported_secret(text) is None or text.startswith("psx-")


@pytest.mark.parametrize(
    "text",
    [
        "psx-",
        "psx-" + "A" * 43,  # no number
        "psx-" + "A" * 60,
        "psx-" + "A" * 100_000,
        TEXT + "=",
        TEXT + "\n",
        TEXT[:10] + " " + TEXT[10:],
        TEXT[:10] + "ä" + TEXT[11:],
        "PSX-" + TEXT[4:],
        "psx-" + TEXT[4:].replace("_", "/"),
        TEXT[:-1],
        "psx-" + urlsafe_b64encode(b"\x80\x00" + SECRET).decode().rstrip("="),  # 0 in two bytes
        "psx-" + urlsafe_b64encode(b"\xff" * 9 + b"\x01" + SECRET).decode().rstrip("="),
    ],
)
def test_other_texts_are_no_imported_keys(text: str) -> None:
    assert imported_secret(text) is None
    assert key_fault(text)


def test_a_text_with_the_prefix_is_no_password() -> None:
    with pytest.raises(BadPassword, match="must not look like an API key"):
        Passwords(4).hash("psx-anything")


def test_bcrypt_verifies_the_first_use_only(fixture: Fixture) -> None:
    fixture.add()
    unused = fixture.key()
    assert unused.imported.startswith("300:$2a$04$") and unused.prefix == "psx-"
    assert unused.imported not in repr(unused)
    before = fixture.store.confirmed_revision()
    assert [fixture.use() for _ in range(3)] == ["good"] * 3
    assert fixture.passwords.verified == 1
    used = fixture.key()
    assert used == replace(unused, hash=used.hash, prefix=TEXT[:12], imported="")
    assert used.hash == hashlib.sha256(b"headgate key\0" + TEXT.encode()).digest()
    assert fixture.store.confirmed_revision() == before  # no right has changed
    principal = fixture.engine.api_keys.authenticate(TEXT)
    assert principal.user is not None
    assert dict(principal.user.grants) == {"shop": Privilege.WRITE}
    assert fixture.engine.renew(principal).user == principal.user


def test_a_wrong_secret_leaves_the_key_as_it_is(fixture: Fixture) -> None:
    fixture.add()
    for secret in (bytes(32), SECRET[:3] + bytes(29), SECRET[:-1] + b"x"):
        assert fixture.use(key_text(300, secret)) == "unknown"
    assert fixture.passwords.verified == 3
    for number in (0, 3, 30, 301, 3000, 299):
        assert fixture.use(key_text(number, SECRET)) == "unknown"
    assert fixture.passwords.verified == 3  # no key has these numbers
    assert fixture.use() == "good"


def test_nothing_is_accepted_by_the_hash_of_an_unused_key(fixture: Fixture) -> None:
    fixture.add()
    with pytest.raises(KeyRejected):
        fixture.engine.api_keys.authenticate_hash(fixture.key().hash)


def test_keys_of_two_pyroscopes_may_have_one_number(fixture: Fixture) -> None:
    other = bytes(range(32))
    fixture.add()
    fixture.add("us", secret=other)
    assert fixture.use(key_text(300, other)) == "good"
    assert fixture.key().imported and not fixture.key("us").imported
    assert fixture.use() == "good"


def test_an_expired_or_revoked_key_is_rejected_with_the_reason(fixture: Fixture) -> None:
    fixture.add(expires_at=1001)
    fixture.now = 1001
    assert fixture.use() == "expired"
    assert fixture.use(key_text(300, bytes(32))) == "unknown"
    fixture.now = 1000
    assert fixture.use() == "good"
    second = key_text(301, SECRET)
    fixture.add("us", 301)
    fixture.engine.api_keys.revoke(UNRESTRICTED, fixture.key("us"))
    assert fixture.use(key_text(301, bytes(32))) == "unknown"
    assert [fixture.use(second) for _ in range(2)] == ["revoked"] * 2
    assert fixture.passwords.verified == 3


def test_a_key_of_a_disabled_owner_is_rejected(fixture: Fixture) -> None:
    fixture.add()
    owner = fixture.engine.user("agents")
    assert owner is not None
    fixture.engine.accounts.set_status(UNRESTRICTED, owner, UserStatus.DISABLED)
    assert fixture.use() == "failed"
    fixture.engine.accounts.set_status(UNRESTRICTED, owner, UserStatus.ACTIVE)
    assert fixture.use() == "good"


def test_a_rotation_ends_a_text_that_was_never_used(fixture: Fixture) -> None:
    fixture.add()
    rotated, text = fixture.engine.api_keys.rotate(UNRESTRICTED, fixture.key())
    assert text.startswith("hgk_") and not rotated.previous and not rotated.imported
    assert fixture.use() == "unknown" and fixture.passwords.verified == 0
    fixture.engine.api_keys.authenticate(text)
    fixture.add("us", 301)
    assert fixture.use(key_text(301, SECRET)) == "good"
    fixture.engine.api_keys.rotate(UNRESTRICTED, fixture.key("us"))
    assert fixture.use(key_text(301, SECRET)) == "good"  # while the grace lasts


def test_two_processes_may_see_the_first_use(fixture: Fixture) -> None:
    fixture.add()
    shown = imported_secret(TEXT)
    assert shown is not None
    stale = fixture.key()
    settle = fixture.engine.imported_keys.settle
    assert settle(shown) and settle(shown)
    fixture.store.upkeep(lambda tx: tx.settle_api_key(stale, b"0" * 32, "x"))
    assert fixture.use() == "good"


def test_a_key_is_added_to_a_user_that_has_no_key_of_its_name(fixture: Fixture) -> None:
    fixture.add()
    with pytest.raises(KeyExists):
        fixture.add(number=301)
    with pytest.raises(UserNotFound):
        fixture.add(owner="nix")
    with pytest.raises(BadKey):
        fixture.engine.api_keys.create(UNRESTRICTED, _owner(fixture), TEXT, KeyScope())


def _owner(fixture: Fixture) -> User:
    owner = fixture.engine.user("agents")
    assert owner is not None
    return owner
