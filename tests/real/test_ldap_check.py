"""`headgate ldap check`, with the settings in docs/ldap.md and Debian's slapd."""

import re
from pathlib import Path

import pytest
import trustme

from support.ldap_fixtures import authority, needs_slapd, slapd
from support.places import REPOSITORY
from support.programs_of_ours import run_headgate
from support.slapd import SERVICE_PASSWORD, Slapd

__all__ = ["authority", "slapd"]
pytestmark = needs_slapd


@pytest.fixture
def configuration(slapd: Slapd, tmp_path: Path) -> Path:
    """The configuration of docs/ldap.md, for the directory of the tests."""
    page = (REPOSITORY / "docs" / "ldap.md").read_text("utf-8")
    example = page.partition("\n## Example\n")[2].partition("\n`headgate")[0]
    (tmp_path / "password").write_text(SERVICE_PASSWORD)
    text = re.sub("^    ", "", example, flags=re.MULTILINE)
    for shown, used in (
        ("ldap.example.org", "127.0.0.1"),
        ("start-tls = true", f"start-tls = true\nport = {slapd.port}"),
        ("/etc/ssl/corp.pem", slapd.authority_file),
        ("/etc/headgate/ldap-password", str(tmp_path / "password")),
    ):
        assert shown in text
        text = text.replace(shown, used)
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    return file


def check(configuration: Path, user: str, password: str) -> tuple[int, list[str], str]:
    """Returns the exit status, the printed lines, and the errors."""
    words = ("ldap", "check", "-config", str(configuration), "-user", user)
    done = run_headgate(*words, stdin=f"{password}\n")
    assert not password or password not in done.stdout + done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_each_step_and_the_rights_are_printed(slapd: Slapd, configuration: Path) -> None:
    status, printed, errors = check(configuration, "ann", "ann-secret")
    assert (status, errors) == (0, "")
    identity = re.fullmatch("identity: ldap:corp, [0-9a-f-]{36}", printed[5])
    assert identity is not None
    service, ann = "cn=service,dc=example,dc=org", "uid=ann,ou=people,dc=example,dc=org"
    assert printed == [
        f"connecting to 127.0.0.1:{slapd.port} with STARTTLS, as {service}",
        f"bound as {service}",
        f"found {ann} by (uid=ann)",
        f"bound as {ann}: the password is right",
        "groups: cn=dev,ou=groups,dc=example,dc=org, cn=ops,ou=groups,dc=example,dc=org",
        identity[0],
        "user name: ann",
        "full name: Ann ann; e-mail: ann@example.org",
        "administrator: yes",
        "ALL: database telegraf",
    ]
    status, printed, _ = check(configuration, "bob", "bob-secret")
    assert status == 0 and printed[-2:] == ["administrator: no", "READ: database telegraf"]


@pytest.mark.parametrize(
    ("user", "password", "step"),
    [
        ("ann", "wrong-secret", "failed: the directory rejects the password of uid=ann,"),
        ("eve", "wrong-secret", "failed: 0 entries match (uid=eve)"),
        ("ann", "", "refused: the password is empty"),
    ],
)
def test_a_failed_login_has_status_1(
    configuration: Path, user: str, password: str, step: str
) -> None:
    status, printed, errors = check(configuration, user, password)
    assert (status, errors) == (1, "")
    assert printed[-2].startswith(step)
    assert printed[-1] == "the login fails: the client receives the response of a wrong password"


def test_an_unreachable_directory_is_named(configuration: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(str(wrong))
    text = re.sub("root-ca-cert = .*", f'root-ca-cert = "{wrong}"', configuration.read_text())
    configuration.write_text(text)
    status, _, errors = check(configuration, "ann", "ann-secret")
    assert status == 1 and "certificate" in errors
    configuration.write_text(text.replace("enabled = true", ""))
    status, _, errors = check(configuration, "ann", "ann-secret")
    assert status == 1 and errors.endswith("[auth.ldap] enabled: expected true\n")
