"""Runs Debian's slapd, and servers that record or ignore what a client of a directory sends."""

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import trustme

from support.certificates import write_certificate
from support.waiting import free_port, poll_until

# Debian puts it into a folder for administrators.
SLAPD = shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SUFFIX = "dc=example,dc=org"
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
SERVICE = f"cn=service,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"
SERVICE_PASSWORD = "service-secret"
ADMIN_PASSWORD = "admin-secret"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
{tls}
database mdb
directory {folder}/db
suffix {suffix}
rootdn {admin}
rootpw {admin_password}
{access}
overlay memberof
"""
_TLS = """\
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {certificate}
"""
_CONTENT = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: {SERVICE}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: service
userPassword: {SERVICE_PASSWORD}
"""
OPEN_ACCESS = "access to attrs=userPassword by anonymous auth\naccess to * by * read"


class Slapd(AbstractContextManager["Slapd"]):
    """A directory with an empty `PEOPLE` and an empty `GROUPS`, which is started and stopped.

    Without an *authority*, it has neither STARTTLS nor LDAPS. *access* are lines of slapd.conf.
    """

    def __init__(
        self, folder: Path, authority: trustme.CA | None = None, access: str = OPEN_ACCESS
    ) -> None:
        self._folder = folder
        self._authority = authority
        self._access = access
        self.port = free_port()
        self.tls_port = free_port()

    def __enter__(self) -> Self:
        (self._folder / "db").mkdir(parents=True)
        configuration = self._folder / "slapd.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=self._folder,
                tls=self._tls() if self._authority is not None else "",
                suffix=SUFFIX,
                admin=ADMIN,
                admin_password=ADMIN_PASSWORD,
                access=self._access,
            )
        )
        assert SLAPD is not None, "slapd must be installed"
        slapadd = shutil.which("slapadd", path=os.path.dirname(SLAPD))
        assert slapadd is not None
        subprocess.run(
            [slapadd, "-f", str(configuration)],
            input=_CONTENT,
            text=True,
            check=True,
            capture_output=True,
        )
        urls = f"ldap://127.0.0.1:{self.port}"
        if self._authority is not None:
            urls += f" ldaps://127.0.0.1:{self.tls_port}"
        self._process = subprocess.Popen(
            [SLAPD, "-f", str(configuration), "-h", urls, "-d", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            poll_until(self._responds, "slapd did not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    @property
    def authority_file(self) -> str:
        """The PEM file of the authority of its certificate."""
        return str(self._folder / "authority.pem")

    def _tls(self) -> str:
        assert self._authority is not None
        self._authority.cert_pem.write_to_path(self.authority_file)
        certificate = write_certificate(self._authority, self._folder / "certificate.pem")
        return _TLS.format(authority=self.authority_file, certificate=certificate)

    def _responds(self) -> bool:
        assert self._process.poll() is None, "slapd ended"
        return self._client("ldapsearch", "", "-b", "", "-s", "base", check=False) == 0

    def add_user(self, uid: str, password: str, **attributes: str) -> str:
        """Adds a user to `PEOPLE` and returns the distinguished name."""
        dn = f"uid={uid},{PEOPLE}"
        given = {"cn": uid, "sn": uid, "userPassword": password} | attributes
        lines = "".join(f"{name}: {value}\n" for name, value in given.items())
        self.add(f"dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\n{lines}")
        return dn

    def add_group(self, cn: str, *members: str) -> str:
        """Adds a group of at least one member to `GROUPS` and returns the distinguished name."""
        dn = f"cn={cn},{GROUPS}"
        lines = "".join(f"member: {member}\n" for member in members)
        self.add(f"dn: {dn}\nobjectClass: groupOfNames\ncn: {cn}\n{lines}")
        return dn

    def add(self, entry: str) -> None:
        """Adds *entry*, a text in LDIF."""
        self._client("ldapadd", entry)

    def remove(self, dn: str) -> None:
        """Removes the entry *dn*."""
        self._client("ldapdelete", "", dn)

    def change_member(self, group: str, member: str, *, add: bool) -> None:
        """Adds the entry *member* to the entry *group*, or removes it."""
        change = "add" if add else "delete"
        self.modify(f"dn: {group}\nchangetype: modify\n{change}: member\nmember: {member}\n")

    def modify(self, change: str) -> None:
        """Makes *change*, a text in LDIF with `changetype`."""
        self._client("ldapmodify", change)

    def _client(self, program: str, text: str, *arguments: str, check: bool = True) -> int:
        """Runs *program* of ldap-utils as the administrator; returns its exit status."""
        account = ("-x", "-H", f"ldap://127.0.0.1:{self.port}", "-D", ADMIN, "-w", ADMIN_PASSWORD)
        done = subprocess.run(
            [program, *account, *arguments], input=text, text=True, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.returncode


class SilentServer:
    """Accepts connections, records what it receives, and sends nothing but *response*.

    It sends *response* after the first bytes. An asynchronous context manager.
    """

    def __init__(self, response: bytes = b"") -> None:
        self._response = response
        self.connections = 0
        self.open = 0
        self.received = b""
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._receive, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if sys.version_info < (3, 12):  # later versions wait for connections of clients, too
            await self._server.wait_closed()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        try:
            while chunk := await reader.read(65_536):
                if not self.received:
                    writer.write(self._response)
                self.received += chunk
        except ConnectionError:
            pass  # the client reset the connection
        finally:
            self.open -= 1
            writer.close()
