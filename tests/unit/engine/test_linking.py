"""Which user an identity of a provider becomes, and how people link identities themselves."""

from collections.abc import Callable
from dataclasses import replace
from operator import methodcaller

import pytest

from headgate_engine import (
    NO_PASSWORD,
    UNRESTRICTED,
    Audit,
    AuthenticationFailed,
    Engine,
    ExternalUser,
    Identity,
    IdentityLinked,
    IdentityNotFound,
    IdentityTaken,
    IssuerLinked,
    MemoryStore,
    NewUser,
    OnlyWayToSignIn,
    Passwords,
    Principal,
    Profile,
    ProvisioningPolicy,
    SignUpDisabled,
    StatementError,
    TokenRights,
    TooManyPending,
    User,
    UserStatus,
)
from headgate_grammar import Privilege

IDP = "https://idp.example"
PROFILES = {
    "root": Profile("root@example.com", True),
    "writer": Profile("writer@example.com", True),
    "reader": Profile("reader@example.com", True),
    "twin": Profile("Twin@example.com", True),
    "other-twin": Profile("twin@EXAMPLE.com", True),
    "unverified": Profile("unverified@example.com", False),
    "linked": Profile("linked@example.com", True),
    "disabled": Profile("disabled@example.com", True),
}


@pytest.fixture
def engine() -> Engine:
    engine = Engine(MemoryStore(), Passwords(4), external_passwords=False)
    texts = ["CREATE USER root WITH PASSWORD 'r' WITH ALL PRIVILEGES", "CREATE DATABASE shop"]
    texts += [f"CREATE USER \"{name}\" WITH PASSWORD 'p'" for name in PROFILES if name != "root"]
    texts += ["GRANT WRITE ON shop TO writer", "GRANT READ ON shop TO reader"]
    for result in engine.query("; ".join(texts), UNRESTRICTED):
        assert not result.error, result
    for name, profile in PROFILES.items():
        engine.accounts.change_profile(UNRESTRICTED, user_of(engine, name), replaced_by(profile))
    engine.identities.link(UNRESTRICTED, user_of(engine, "linked"), IDP, "known")
    disabled = user_of(engine, "disabled")
    engine.accounts.set_status(UNRESTRICTED, disabled, UserStatus.DISABLED)
    return engine


def replaced_by(profile: Profile) -> Callable[[Profile], Profile]:
    return lambda _: profile


def user_of(engine: Engine, name: str) -> User:
    user = engine.user(name)
    assert user is not None
    return user


def comes_as(email: str = "", *, name: str = "new", subject: str = "1") -> Identity:
    return Identity(IDP, subject, name, email, email_verified=True, method="oauth")


BY_NAME = ProvisioningPolicy(sign_up=True, link="any")
BY_EMAIL = ProvisioningPolicy(sign_up=True, by_email=True)


@pytest.mark.parametrize(
    ("identity", "policy", "expected"),
    [
        (comes_as(name="writer"), BY_NAME, "writer"),
        (comes_as(name="root"), BY_NAME, "root"),
        (comes_as(name="root"), replace(BY_NAME, protected=frozenset({"admins"})), IdentityTaken),
        (comes_as(name="writer"), replace(BY_NAME, protected=frozenset({"admins"})), "writer"),
        (
            comes_as(name="writer"),
            replace(BY_NAME, protected=frozenset({"writers"})),
            IdentityTaken,
        ),
        (comes_as(name="reader"), replace(BY_NAME, protected=frozenset({"writers"})), "reader"),
        (
            comes_as(name="reader"),
            replace(BY_NAME, protected=frozenset({"readers"})),
            IdentityTaken,
        ),
        (comes_as(name="linked"), BY_NAME, IdentityTaken),
        (comes_as(name="linked", subject="known"), ProvisioningPolicy(), "linked"),
        (comes_as(name="anything", subject="known"), ProvisioningPolicy(), "linked"),
        (comes_as(name="disabled"), BY_NAME, AuthenticationFailed),
        (comes_as(name="ROOT"), BY_NAME, "ROOT"),
        (comes_as(name="new"), ProvisioningPolicy(), SignUpDisabled),
        (comes_as("reader@example.com"), BY_EMAIL, "reader"),
        (comes_as("READER@Example.COM"), BY_EMAIL, "reader"),
        (comes_as("reader@example.com"), ProvisioningPolicy(sign_up=True), "new"),
        (
            comes_as("writer@example.com"),
            replace(BY_EMAIL, protected=frozenset({"writers"})),
            "new",
        ),
        (comes_as("root@example.com"), BY_EMAIL, "new"),
        (comes_as("root@example.com"), replace(BY_EMAIL, protected=frozenset()), "root"),
        (comes_as("twin@example.com"), BY_EMAIL, "new"),
        (comes_as("unverified@example.com"), BY_EMAIL, "new"),
        (comes_as("linked@example.com"), BY_EMAIL, "new"),
        (comes_as("disabled@example.com"), BY_EMAIL, AuthenticationFailed),
        (replace(comes_as("reader@example.com"), email_verified=False), BY_EMAIL, "new"),
        (comes_as("", name="root"), BY_EMAIL, IdentityTaken),
    ],
)
def test_an_identity_becomes_the_user_that_the_policy_allows(
    engine: Engine,
    identity: Identity,
    policy: ProvisioningPolicy,
    expected: str | type[Exception],
) -> None:
    before = {name: user_of(engine, name) for name in PROFILES}
    if isinstance(expected, str):
        user = engine.provision(identity, None, policy=policy)
        assert user.name == expected
        assert engine.provision(identity, None, policy=ProvisioningPolicy()).id == user.id
        assert (user.name in before) == (user.hash != NO_PASSWORD)
    else:
        with pytest.raises(expected):
            engine.provision(identity, None, policy=policy)
        if identity.subject != "known":
            assert engine.store.user_by_identity(IDP, identity.subject) is None
    assert {name: user_of(engine, name) for name in PROFILES} == before


def test_only_a_new_user_gets_the_first_rights(engine: Engine) -> None:
    policy = replace(
        BY_NAME, first_rights=TokenRights({"shop": Privilege.READ, "gone": Privilege.ALL})
    )
    assert dict(engine.provision(comes_as(), None, policy=policy).grants) == {
        "shop": Privilege.READ
    }
    assert not engine.provision(comes_as(name="twin", subject="2"), None, policy=policy).grants
    # Rights in the claims come first.
    claimed = TokenRights({"shop": Privilege.WRITE})
    new = engine.provision(comes_as(name="claims", subject="3"), claimed, policy=policy)
    assert dict(new.grants) == {"shop": Privilege.WRITE}


def test_the_profile_follows_what_the_provider_verified(engine: Engine) -> None:
    policy = replace(BY_NAME, syncs_profile=True)
    steps: list[tuple[Identity, Profile]] = [
        (
            replace(comes_as("a@example.com"), full_name="Ann"),
            Profile("a@example.com", True, "Ann"),
        ),
        (
            replace(comes_as("b@example.com"), email_verified=False),
            Profile("a@example.com", True, "Ann"),
        ),
        (comes_as("no address"), Profile("a@example.com", True, "Ann")),
        (
            replace(comes_as("c@example.com"), full_name="x\x1b[31m"),
            Profile("c@example.com", True, "Ann"),
        ),
    ]
    for identity, expected in steps:
        user = engine.provision(identity, None, policy=policy)
        stored = replace(engine.accounts.profile(user), updated_at=0)
        assert stored == replace(expected, has_identity=True)
    records = len(engine.store.audit())
    engine.provision(steps[-1][0], None, policy=policy)
    assert len(engine.store.audit()) == records
    assert not any("example.com" in it.statement for it in engine.store.audit(5))


def principal(engine: Engine, name: str) -> Principal:
    return Principal(user_of(engine, name), "password")


def test_identities_are_linked_and_unlinked(engine: Engine) -> None:
    reader, linked = user_of(engine, "reader"), user_of(engine, "linked")
    one = engine.identities.link(UNRESTRICTED, reader, IDP, "r")
    assert engine.identities.link(UNRESTRICTED, reader, IDP, "r") == one
    cases: list[tuple[User, str, str, type[StatementError]]] = [
        (reader, IDP, "other", IssuerLinked),
        (linked, "https://other", "x", IdentityLinked),
        (reader, IDP, "known", IdentityLinked),
    ]
    engine.identities.link(UNRESTRICTED, reader, "https://other", "x")
    for user, issuer, subject, error in cases:
        with pytest.raises(error):
            engine.identities.link(UNRESTRICTED, user, issuer, subject)
    with pytest.raises(IdentityNotFound):
        engine.identities.unlink(UNRESTRICTED, linked, one.id)
    engine.identities.unlink(principal(engine, "reader"), reader, one.id)
    assert [it.subject for it in engine.identities.of_user(reader)] == ["x"]
    texts = [it.statement for it in engine.store.audit() if "comes in as" in it.statement]
    assert texts[-1] == f"-- reader comes in as {IDP} r: unlinked"


def test_the_only_way_to_sign_in_is_kept_by_oneself_and_removed_by_others(engine: Engine) -> None:
    ann = engine.provision(comes_as(name="ann"), None, policy=BY_NAME)
    (identity,) = engine.identities.of_user(ann)
    with pytest.raises(OnlyWayToSignIn):
        engine.identities.unlink(principal(engine, "ann"), ann, identity.id)
    second = engine.identities.link(UNRESTRICTED, ann, "https://other", "a")
    engine.identities.unlink(principal(engine, "ann"), ann, identity.id)
    engine.identities.unlink(principal(engine, "root"), ann, second.id)
    assert engine.identities.of_user(ann) == []


def test_an_external_user_gets_no_password(engine: Engine) -> None:
    ann = engine.provision(comes_as(name="ann"), None, policy=BY_NAME)
    (result,) = engine.query("SET PASSWORD FOR ann = 'new'", UNRESTRICTED)
    assert result.error == str(ExternalUser())
    (result,) = engine.query("SET PASSWORD FOR linked = 'new'", UNRESTRICTED)
    assert not result.error  # this user has a password beside the identity
    engine.external_passwords = True
    (result,) = engine.query("SET PASSWORD FOR ann = 'new'", UNRESTRICTED)
    assert not result.error and engine.authenticate("ann", "new").id == ann.id


def sign_up(name: str, **options: int) -> Callable[[Engine], User]:
    grants = {"shop": Privilege.READ}
    new = NewUser(name, "$2b$04$" + "." * 53, grants=grants, profile=Profile("a@b.c"))
    return lambda engine: engine.accounts.sign_up(new, "192.0.2.1", **options)  # type: ignore[arg-type]


def test_a_sign_up_waits_for_approval_or_has_the_default_rights(engine: Engine) -> None:
    waiting = sign_up("ann", pending=True, max_pending=2)(engine)
    assert (waiting.status, dict(waiting.grants)) == (UserStatus.PENDING, {})
    active = sign_up("bob", pending=False)(engine)
    assert (active.status, dict(active.grants)) == (UserStatus.ACTIVE, {"shop": Privilege.READ})
    sign_up("carla", pending=True, max_pending=2)(engine)
    with pytest.raises(TooManyPending):
        sign_up("dora", pending=True, max_pending=2)(engine)
    with pytest.raises(StatementError, match="user already exists"):
        sign_up("ann", pending=True, max_pending=9)(engine)
    with pytest.raises(Exception, match="create admin user first"):
        sign_up("ann", pending=True, max_pending=2)(Engine(MemoryStore(), Passwords(4)))
    assert engine.accounts.drop_old_sign_ups(waiting.created_at) == 0
    assert engine.accounts.drop_old_sign_ups(waiting.created_at + 9) == 2
    assert engine.user("ann") is None and engine.user("bob") is not None
    assert "-- sign-up ann, pending" in [it.statement for it in engine.store.audit()]


def test_a_dropped_identity_does_not_come_back_with_an_old_login(engine: Engine) -> None:
    early = replace(comes_as(name="ann"), issued_at=1.0)
    ann = engine.provision(early, None, policy=BY_NAME)
    engine.identities.link(UNRESTRICTED, ann, "https://other", "a")
    engine.store.transact(methodcaller("drop_user", ann), Audit("", "", ""))
    for identity in (early, replace(early, issuer="https://other", subject="a")):
        with pytest.raises(AuthenticationFailed):
            engine.provision(identity, None, policy=BY_NAME)
    late = replace(early, issued_at=4e9)
    assert engine.provision(late, None, policy=BY_NAME).id != ann.id
