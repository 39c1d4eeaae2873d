"""Debian's HAProxy and nginx before Headgate: the access log and the audit name the client.

The proxy connects from 127.0.0.2, and the client from 127.0.0.3.
"""

import http.client
import os
import shutil
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import trustme

from support.audit_records import audit_records
from support.certificates import client_context, write_certificate
from support.servers import ROOT, Server
from support.waiting import free_port, poll_until

PROXY, CLIENT = "127.0.0.2", "127.0.0.3"
TRUSTED = {"HEADGATE_HTTP_TRUSTED_PROXIES": f"{PROXY}/32"}
HAPROXY = """
global
    log stderr format raw daemon err
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen headgate
    bind 127.0.0.1:{port}
    source {proxy}
    server headgate 127.0.0.1:{headgate} check inter 50ms check-send-proxy {option}
"""
NGINX = """
daemon off; {user} pid {folder}/pid; error_log {folder}/error;
events {{}}
http {{
    access_log off;
    {paths}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{headgate};
            proxy_bind {proxy};
            {fields}
        }}
    }}
}}
"""


@contextmanager
def running(folder: Path, port: int, *command: str) -> Iterator[None]:
    """Runs the proxy *command* until the end of the block, once it listens on *port*."""
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None and not os.environ.get("CI"):
        pytest.skip(f"Debian's {command[0]} is not installed")
    with open(folder / "proxy.log", "wb") as log:
        process = subprocess.Popen([program or command[0], *command[1:]], stdout=log, stderr=log)

    def listens() -> bool:
        assert process.poll() is None, (folder / "proxy.log").read_text()
        with closing(socket.socket()) as line:
            return line.connect_ex(("127.0.0.1", port)) == 0

    try:
        poll_until(listens, "the proxy does not listen")
        yield
    finally:
        process.terminate()
        process.wait(20)


def change(
    port: int, database: str, fields: dict[str, str], context: ssl.SSLContext | None = None
) -> int:
    """Creates *database* as the client, by the proxy on *port*; returns the status."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, 20, (CLIENT, 0))
    else:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=20, source_address=(CLIENT, 0), context=context
        )
    login = {"Authorization": f"Basic {b64encode(':'.join(ROOT).encode()).decode()}"}
    with closing(connection):
        path = f"/query?q=CREATE+DATABASE+{database}"
        connection.request("POST", path, headers={**login, **fields})
        return connection.getresponse().status


def names_the_client(server: Server, database: str) -> bool:
    """Returns whether log and audit of *server* have the change with the client's address."""
    statement = f"CREATE DATABASE {database}"
    found = [one.address for one in audit_records(server) if one.statement == statement]
    line = next((one for one in server.log().splitlines() if statement in one), "")
    return found == [f"{CLIENT} via {PROXY}"] and f" client={CLIENT} " in line


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_names_the_client_in_a_proxy_header(
    serve: Callable[..., Server], authority: trustme.CA, tmp_path: Path, option: str, tls: bool
) -> None:
    server = serve(**TRUSTED).bootstrap()
    server.stop()
    server.environment["HEADGATE_HTTP_PROXY_PROTOCOL"] = "true"
    context = None
    if tls:
        context, certificate = client_context(authority), tmp_path / "server.pem"
        server.environment |= {
            "HEADGATE_HTTP_HTTPS_ENABLED": "true",
            "HEADGATE_HTTP_HTTPS_CERTIFICATE": write_certificate(authority, certificate),
        }
    server.start()
    port, file = free_port(), tmp_path / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, proxy=PROXY, headgate=server.port, option=option))
    with running(tmp_path, port, "haproxy", "-db", "-f", str(file)):
        # A client's own header fields have no effect.
        for database, fields in (("a", {}), ("b", {"X-Forwarded-For": "6.6.6.6"})):
            assert change(port, database, fields, context) == 200
            poll_until(partial(names_the_client, server, database), server.log())
    assert "PROXY header: " not in server.log()  # HAProxy's health checks are no errors


FIELDS = [
    ("forwarded", 'Forwarded "for=$remote_addr;proto=$scheme"'),
    ("forwarded", 'Forwarded "$http_forwarded, for=\\"$remote_addr:$remote_port\\""'),
    ("x-forwarded", "X-Forwarded-For $proxy_add_x_forwarded_for"),
    ("x-forwarded", "X-Forwarded-For $remote_addr"),
]


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_nginx_names_the_client_in_a_header_field_whatever_the_client_sends(
    serve: Callable[..., Server], tmp_path: Path, kind: str, field: str
) -> None:
    server = serve(**TRUSTED, HEADGATE_HTTP_PROXY_HEADERS=kind).bootstrap()
    port, file = free_port(), tmp_path / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    file.write_text(
        NGINX.format(
            user="user root;" if os.getuid() == 0 else "",  # the owner of the folder
            folder=tmp_path,
            paths="".join(f"{one}_temp_path {tmp_path}/{one};" for one in kinds),
            port=port,
            headgate=server.port,
            proxy=PROXY,
            fields=f"proxy_set_header {field};",
        )
    )
    forged = [
        {},
        {"Forwarded": "for=6.6.6.6", "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"},
        {"Forwarded": 'for=6.6.6.6;x="', "X-Forwarded-For": '"6.6.6.6'},
    ]
    with running(tmp_path, port, "nginx", "-e", str(tmp_path / "error"), "-c", str(file)):
        for number, fields in enumerate(forged):
            assert change(port, f"d{number}", fields) == 200
            poll_until(partial(names_the_client, server, f"d{number}"), server.log())
