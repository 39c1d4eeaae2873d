"""A SAML identity provider: `python idp.py CONFIGURATION.json`, as `support/saml.py` starts it.

It runs in an environment of its own: what pysaml2 depends on stays out of the tests' environment.
"""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false

import html
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from saml2 import BINDING_HTTP_REDIRECT
from saml2.authn_context import PASSWORD
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.server import Server

CONFIGURATION = json.loads(Path(sys.argv[1]).read_text())
BASE = f"http://localhost:{CONFIGURATION['port']}"
BASIC = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
SETTINGS = {
    "entityid": f"{BASE}/metadata",
    "xmlsec_binary": CONFIGURATION["xmlsec"],
    "key_file": CONFIGURATION["key"],
    "cert_file": CONFIGURATION["certificate"],
    "metadata": {"local": [CONFIGURATION["service_provider"]]},
    "attribute_map_dir": CONFIGURATION["attribute_maps"],
    "service": {
        "idp": {
            "endpoints": {
                "single_sign_on_service": [(f"{BASE}/sign-in", BINDING_HTTP_REDIRECT)],
                "single_logout_service": [(f"{BASE}/sign-out", BINDING_HTTP_REDIRECT)],
            },
            "policy": {"default": {"lifetime": {"minutes": 5}, "name_form": BASIC}},
        }
    },
}
LOGIN = """<!DOCTYPE html><html lang="en"><title>Sign in</title><h1>Sign in</h1><p>{message}</p>
<form method="post"><label>Login <input type="text" name="login"></label>
<label>Password <input type="password" name="password"></label>
<button type="submit">Continue</button></form></html>"""


class Provider:
    """Answers the requests of the service provider for one of the configured accounts."""

    def __init__(self) -> None:
        configuration = IdPConfig().load(SETTINGS)
        self.metadata = str(entity_descriptor(configuration))
        self._server: Any = Server(config=configuration)
        self._lock = threading.Lock()

    def sign_in(self, query: dict[str, str], login: str) -> str:
        """Returns a page that posts the signed assertion about *login* to the service provider."""
        server = self._server
        with self._lock:
            request = server.parse_authn_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT)
            args = server.response_args(request.message)
            binding, destination = args.pop("binding"), args.pop("destination")
            response = server.create_authn_response(
                CONFIGURATION["accounts"][login],
                userid=login,
                authn={"class_ref": PASSWORD},
                sign_assertion=True,
                destination=destination,
                **args,
            )
            sent = server.apply_binding(
                binding, str(response), destination, query.get("RelayState", ""), response=True
            )
        return str(sent["data"])

    def sign_out(self, query: dict[str, str]) -> str:
        """Returns the URL of the service provider with the answer to its request for sign-out."""
        server = self._server
        with self._lock:
            request = server.parse_logout_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT)
            response = server.create_logout_response(request.message, [BINDING_HTTP_REDIRECT])
            destination = response.destination
            sent = server.apply_binding(
                BINDING_HTTP_REDIRECT,
                str(response),
                destination,
                query.get("RelayState", ""),
                response=True,
                sign=True,
            )
        return str(dict(sent["headers"])["Location"])


class Handler(BaseHTTPRequestHandler):
    """The pages of the provider."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        match parts.path:
            case "/metadata":
                self._send(200, PROVIDER.metadata)
            case "/sign-in":
                self._send(200, LOGIN.format(message=""))
            case "/sign-out":
                self.send_response(302)
                self.send_header("Location", PROVIDER.sign_out(dict(parse_qsl(parts.query))))
                self.send_header("Content-Length", "0")
                self.end_headers()
            case _:
                self._send(404, "not found")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        login = dict(parse_qsl(body.decode())).get("login", "")
        if login in CONFIGURATION["accounts"]:
            self._send(200, PROVIDER.sign_in(dict(parse_qsl(urlsplit(self.path).query)), login))
        else:
            self._send(403, LOGIN.format(message=f"unknown: {html.escape(login)}"))

    def _send(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


PROVIDER = Provider()
ThreadingHTTPServer(("127.0.0.1", CONFIGURATION["port"]), Handler).serve_forever()
