"""Runs Apache with mod_auth_mellon in front of a server, and a SAML identity provider."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from support import made_tokens as made
from support.plain_browser import PlainBrowser, Seen, fetched
from support.session_folder import made_once
from support.waiting import free_port, poll_until

APACHE, XMLSEC = shutil.which("apache2") or "", shutil.which("xmlsec1") or ""
_MODULES = Path("/usr/lib/apache2/modules")
needs_mellon = pytest.mark.skipif(
    not (APACHE and XMLSEC and (_MODULES / "mod_auth_mellon.so").exists())
    and not os.environ.get("CI"),
    reason="Debian's apache2, libapache2-mod-auth-mellon and xmlsec1 are not installed",
)
PYSAML2 = "pysaml2==7.5.5"
# The attributes of an account, each with one header of the request that reaches the server.
HEADERS = {
    "uid": "X-WEBAUTH-USER",
    "cn": "X-WEBAUTH-NAME",
    "mail": "X-WEBAUTH-EMAIL",
    "groups": "X-WEBAUTH-GROUPS",
}
_START_SECONDS = 60
_PASSWORD = "any-Password-1"
_LOADED = (
    *("mpm_event", "authn_core", "authz_core", "authz_user", "env", "headers"),
    *("proxy", "proxy_http", "auth_mellon"),
)
_APACHE_CONFIGURATION = """\
{modules}
ServerRoot "{folder}"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile "{folder}/apache.pid"
ErrorLog "{folder}/errors.txt"
Mutex sem
{user}
MellonLockFile "{folder}/mellon.lock"
<Location />
    AuthType Mellon
    Require valid-user
    MellonEnable auth
    MellonEndpointPath /mellon
    MellonSPMetadataFile "{folder}/service-provider.xml"
    MellonSPPrivateKeyFile "{folder}/service-provider.key"
    MellonSPCertFile "{folder}/service-provider.crt"
    MellonIdPMetadataFile "{folder}/identity-provider.xml"
    # Mellon's cookies have SameSite=None, which browsers accept only together with Secure.
    MellonSecureCookie On
    MellonMergeEnvVars On ","
{headers}
</Location>
ProxyPass /mellon !
ProxyPass / http://127.0.0.1:{backend}/
"""
_SERVICE_PROVIDER = """\
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{url}/mellon/metadata">
  <SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true"
      protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <KeyDescriptor use="signing">
      <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
        <X509Data><X509Certificate>{certificate}</X509Certificate></X509Data>
      </KeyInfo>
    </KeyDescriptor>
    <SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
        Location="{url}/mellon/logout"/>
    <NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:transient</NameIDFormat>
    <AssertionConsumerService index="0" isDefault="true"
        Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
        Location="{url}/mellon/postResponse"/>
  </SPSSODescriptor>
</EntityDescriptor>
"""


def ann_attributes() -> dict[str, list[str]]:
    """Returns the attributes of the account that the provider has by default."""
    return {
        "uid": ["ann"],
        "cn": ["Ann Archer"],
        "mail": ["ann@example.com"],
        "groups": ["staff", "editors"],
    }


def pysaml2_python(factory: pytest.TempPathFactory) -> Path:
    """Returns the Python of an environment with pysaml2, made once for all workers of pytest."""
    return made_once(factory, "pysaml2", _make_environment) / "venv/bin/python"


def _make_environment(folder: Path) -> None:
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(venv))
    subprocess.run([*pip, "install", "--quiet", PYSAML2], check=True, timeout=300)


class SamlProxy:
    """Apache on a free port before the server on port *backend*; a context manager starts it.

    *python* is the one that `pysaml2_python` returns. *accounts* maps logins to attributes, of
    which `HEADERS` has the names; a list of values reaches the server with commas between them.
    A client's own headers of these names are removed.
    """

    def __init__(
        self,
        python: Path,
        backend: int,
        accounts: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    ) -> None:
        self.port, self._provider_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.provider_url = f"http://localhost:{self._provider_port}"
        self._python, self._backend = python, backend
        self._accounts = {"ann": ann_attributes()} if accounts is None else accounts
        # Apache started as root runs as www-data, which cannot read the folders of pytest.
        self._folder = Path(tempfile.mkdtemp(prefix="headgate-saml-"))
        self._processes: list[subprocess.Popen[bytes]] = []

    def log(self) -> str:
        """Returns what Apache and the provider have written."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.txt")))

    def __enter__(self) -> Self:
        try:
            self._write_files()
            self._run(str(self._python), str(_IDP), str(self._folder / "identity-provider.json"))
            poll_until(self._has_metadata, "the identity provider did not start", _START_SECONDS)
            self._run(APACHE, "-f", str(self._folder / "apache.conf"), "-D", "FOREGROUND")
            poll_until(self._answers, "apache2 did not start", _START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(20)
        shutil.rmtree(self._folder)

    def _run(self, *command: str) -> None:
        with (self._folder / f"output{len(self._processes)}.txt").open("wb") as output:
            self._processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            )

    def _has_metadata(self) -> bool:
        assert self._processes[-1].poll() is None, self.log()
        with suppress(OSError):
            page = fetched(f"{self.provider_url}/metadata")
            (self._folder / "identity-provider.xml").write_text(page.text)
            return page.status == 200
        return False

    def _answers(self) -> bool:
        assert self._processes[-1].poll() is None, self.log()
        with suppress(OSError):
            return fetched(f"{self.url}/").status == 303
        return False

    def _write_files(self) -> None:
        folder = self._folder
        folder.chmod(0o755)
        certificate = _write_key(folder / "service-provider")
        _write_key(folder / "identity-provider")
        service = _SERVICE_PROVIDER.format(url=self.url, certificate=certificate)
        (folder / "service-provider.xml").write_text(service)
        (folder / "maps").mkdir()
        (folder / "maps/attributes.py").write_text(_attribute_map())
        configuration: dict[str, Any] = {
            "port": self._provider_port,
            "xmlsec": XMLSEC,
            "key": str(folder / "identity-provider.key"),
            "certificate": str(folder / "identity-provider.crt"),
            "service_provider": str(folder / "service-provider.xml"),
            "attribute_maps": str(folder / "maps"),
            "accounts": self._accounts,
        }
        (folder / "identity-provider.json").write_text(json.dumps(configuration))
        names = HEADERS.items()
        text = _APACHE_CONFIGURATION.format(
            modules="\n".join(
                f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED
            ),
            folder=folder,
            port=self.port,
            backend=self._backend,
            # Apache refuses to serve as root.
            user="User www-data\nGroup www-data" if os.getuid() == 0 else "",
            headers="\n".join(_header_lines(attribute, header) for attribute, header in names),
        )
        (folder / "apache.conf").write_text(text)


_IDP = Path(__file__).parent / "saml_provider" / "idp.py"


def _header_lines(attribute: str, header: str) -> str:
    variable = attribute.upper()
    return f"""\
    MellonSetEnv {variable} {attribute}
    RequestHeader unset {header}
    RequestHeader set {header} "%{{MELLON_{variable}}}e" env=MELLON_{variable}"""


def _attribute_map() -> str:
    """Returns a module for pysaml2, by which attributes keep their short names."""
    same = {name: name for name in HEADERS}
    form = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
    return f"MAP = {{'identifier': {form!r}, 'fro': {same!r}, 'to': {same!r}}}\n"


def _write_key(path: Path) -> str:
    """Writes a private key and its certificate beside *path*; returns the certificate's base64."""
    key = made.key(path.name)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, path.name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1))
    certificate = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    text = certificate.public_bytes(Encoding.PEM).decode()
    path.with_suffix(".key").write_text(made.pem(key, "pkcs8-private"))
    path.with_suffix(".crt").write_text(text)
    return "".join(text.splitlines()[1:-1])


def sign_in_by_saml(url: str, login: str, browser: PlainBrowser | None = None) -> Seen:
    """Opens *url* of the proxy and signs in as *login*; returns the page that is shown at last.

    With a *browser* of an earlier call, the session at the proxy is used.
    """
    fill = {"login": login, "password": _PASSWORD}
    return (browser or PlainBrowser()).follow(url, fill)
