"""Requests of other proxies for forward authentication, to an upstream store `m` or another."""

from support.gateway_fixtures import ANN, BOB
from support.servers import ROOT, Answer, Server

QUERY = "/prometheus/api/v1/query?query=up"


def asks(server: Server, kind: str, uri: str, method: str = "GET", **more: str) -> Answer:
    """Sends the `/auth` request that the documentation of the proxy *kind* describes."""
    extra = {name.replace("_", "-"): value for name, value in more.items()}
    name = extra.pop("name", "m")
    login = {"ann": ANN, "bob": BOB, "root": ROOT}.get(extra.pop("login", "ann"))
    match kind:
        case "nginx":
            headers = {"X-Original-URI": uri, "X-Original-Method": method}
            path, method = f"/auth/nginx/{name}", "GET"
        case "ingress-nginx":
            headers = {
                "X-Original-URL": f"https://example.com{uri}",
                "X-Original-Method": method,
                "X-Sent-From": "nginx-ingress-controller",
                "X-Auth-Request-Redirect": uri,
            }
            path, method = f"/auth/nginx/{name}", "GET"
        case "traefik" | "caddy":
            headers = {
                "X-Forwarded-Uri": uri,
                "X-Forwarded-Method": method,
                "X-Forwarded-Host": "example.com",
                "X-Forwarded-Proto": "https",
                "X-Forwarded-For": "10.1.2.3",
            }
            path, method = f"/auth/{kind}/{name}", "GET"
        case "envoy":
            headers = {"Host": "example.com"}
            path = f"/auth/envoy/{name}{uri}"
        case _:
            raise AssertionError(kind)
    body = b"" if method not in ("GET", "HEAD") else None
    return server.request(method, path, body, headers | extra, login)
