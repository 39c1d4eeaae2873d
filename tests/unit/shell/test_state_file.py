"""Files of users, grants and databases: what they declare, and the errors of invalid files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.state_file import format_state, read_state
from headgate_engine import DeclaredDatabase, DeclaredState, DeclaredUser, RetentionPolicy
from headgate_grammar import Privilege

HASH = "$2b$04$" + "a" * 53
DAY = 86_400 * 10**9
WEEK = RetentionPolicy("w", 7 * DAY, 2, DAY)
EXPECTED = DeclaredState(
    [
        DeclaredDatabase("telegraf"),
        DeclaredDatabase("two words", RetentionPolicy("w", 7 * DAY, 2, DAY)),
    ],
    [
        DeclaredUser("root", "Toor-1", admin=True),
        DeclaredUser("todd", hash=HASH, grants={"telegraf": Privilege.READ}),
        DeclaredUser("ann", admin=False, grants={}),
        DeclaredUser("bob"),
    ],
)
TOML = f"""
[databases.telegraf]
[databases."two words"]
name = "w"
duration = "1w"
replication = 2
shard-duration = "1d"
[users.root]
admin = true
password-file = "root.password"
[users.todd]
password-hash = "{HASH}"
grants = {{telegraf = "read"}}
[users.ann]
admin = false
grants = {{}}
[users.bob]
"""
YAML = f"""
databases:
  telegraf:
  two words: {{name: w, duration: 1w, replication: 2, shard-duration: 1d}}
users:
  root: {{admin: true, password-file: root.password}}
  todd: {{password-hash: "{HASH}", grants: {{telegraf: READ}}}}
  ann: {{admin: false, grants: {{}}}}
  bob:
"""


def read(folder: Path, text: str, name: str = "state.toml") -> DeclaredState:
    (folder / "root.password").write_text("Toor-1\n")
    (folder / name).write_text(text)
    return read_state(str(folder / name))


@pytest.mark.parametrize(
    ("name", "text"), [("state.toml", TOML), ("state.yaml", YAML), ("state.yml", YAML)]
)
def test_both_formats_declare_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, text, name) == EXPECTED


def test_a_list_of_names_declares_them(tmp_path: Path) -> None:
    state = read(tmp_path, 'databases = ["a", "b"]\nusers = ["c"]')
    assert state == DeclaredState(
        [DeclaredDatabase("a"), DeclaredDatabase("b")], [DeclaredUser("c")]
    )
    assert read(tmp_path, "", "empty.yaml") == DeclaredState()
    assert read(tmp_path, "users:\n  c:\ndatabases:\n", "state.yaml") == DeclaredState(
        [], [DeclaredUser("c")]
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("users = 1", "users: expected a table of names, or a list of names"),
        ("[user.x]", "the file: unknown key user, did you mean users?"),
        ("[users.x]\nadmins = true", "users.x: unknown key admins, did you mean admin?"),
        (
            "[users.x]\npassword = 'Secret-9'",
            "users.x.password: a password stands in a file: use password-file",
        ),
        ("[users.x]\nadmin = 'yes'", "users.x.admin: expected true or false"),
        ("[users]\nx = 1", "users.x: expected a table"),
        ("[users.x]\ngrants = ['a']", "users.x.grants: expected a table of databases"),
        ("[users.x.grants]\na = 'OWNER'", "users.x.grants.a: expected READ, WRITE, ALL or NONE"),
        ("[users.x.grants]\na = true", "users.x.grants.a: expected READ, WRITE, ALL or NONE"),
        ("users = false", "users: expected a table of names"),
        ("[users]\nx = false", "users.x: expected a table"),
        ("[users.x]\npassword-file = 'none'", "users.x.password-file: "),
        ("[users.x]\npassword-hash = 1", "users.x.password-hash: expected a text"),
        ("[users.x]\npassword-hash = 'a'\npassword-file = 'b'", "not both"),
        ("[databases.a]\nduration = 'soon'", "databases.a.duration: expected a duration"),
        ("[databases.a]\nduration = '1m'", "retention policy duration must be at least 1h0m0s"),
        ("[databases.a]\nreplication = 0", "databases.a.replication: expected a number from 1 up"),
        ("[databases.a]\nreplication = true", "databases.a.replication: expected a number"),
        ("[databases.a]\nname = 3", "databases.a.name: expected a text"),
        ("nonsense", "Expected '=' after a key"),
        ("\\xff", "invalid"),
    ],
)
def test_an_invalid_file_is_one_line_that_names_the_key(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError) as refused:
        read(tmp_path, text)
    said = str(refused.value)
    assert reason.lower() in said.lower() and said.startswith(str(tmp_path / "state.toml"))
    assert "\n" not in said and "Secret-9" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *("a: [", "- 1", "!!python/object:os.system {}", "users: {1: {}}", "false", "''"),
        *("users: {off: {}}", "users: {a: {grants: {1: READ}}}", "users: {a: {}, a: {}}"),
        *("users: &a {b: *a}", "databases: &d [a]\nusers: *d", "users: 2024-99-99", "[" * 5000),
    ],
)
def test_an_invalid_yaml_file_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError) as refused:
        read(tmp_path, text, "state.yaml")
    assert "\n" not in str(refused.value) and "state.yaml" in str(refused.value)


PRIVILEGES = st.sampled_from([Privilege(number) for number in range(4)])
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@pytest.mark.slow
@given(
    st.builds(
        DeclaredState,
        st.lists(
            st.builds(
                DeclaredDatabase,
                NAMES,
                st.none()
                | st.builds(RetentionPolicy, NAMES, st.just(7 * DAY), st.just(2), st.just(DAY)),
            ),
            unique_by=lambda one: one.name,
            max_size=3,
        ),
        st.lists(
            st.builds(
                DeclaredUser,
                NAMES,
                hash=st.none() | st.just(HASH),
                admin=st.none() | st.booleans(),
                grants=st.none()
                | st.dictionaries(
                    NAMES, st.sampled_from([Privilege(number) for number in range(4)]), max_size=3
                ),
            ),
            unique_by=lambda one: one.name,
            max_size=3,
        ),
    )
)
def test_what_is_written_declares_the_same(
    tmp_path_factory: pytest.TempPathFactory, state: DeclaredState
) -> None:
    for name in ("written.toml", "written.yaml"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_text(format_state(state, str(path)), "utf-8", newline="")
        assert read_state(str(path)) == state


def test_both_spellings_of_all_privileges_are_read(tmp_path: Path) -> None:
    state = read(tmp_path, "users: {a: {grants: {x: all  privileges, y: No Privileges}}}", "a.yml")
    assert state.users == [DeclaredUser("a", grants={"x": Privilege.ALL, "y": Privilege.NONE})]
