"""A terminal signs a person in by device authorization at the certified OpenID provider of npm."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.account_requests import cookie_of, send
from support.local_server import LocalServer
from support.openid_provider import OpenIDProvider, ProviderClient, approve_device, needs_node
from support.sso import serve_with
from support.terminal_requests import device

pytestmark = needs_node
SECRET = "s%cr+t:of&ours=1"
PUBLIC = ProviderClient("television", token_endpoint_auth_method="none")


def table(provider: OpenIDProvider, client: ProviderClient, secret: str) -> str:
    """Returns the section of *provider* in a configuration file."""
    return (
        f'[auth.oauth.corp]\nissuer = "{provider.issuer}"\nclient-id = "{client.client_id}"\n'
        f"client-secret = '{secret}'\nallow-insecure-urls = true\nallow-sign-up = true\n"
    )


@pytest.mark.parametrize(
    ("client", "secret"),
    [
        (ProviderClient(), SECRET),
        (ProviderClient(token_endpoint_auth_method="client_secret_post"), SECRET),
        (PUBLIC, ""),
    ],
    ids=["basic", "post", "public"],
)
def test_a_person_approves_the_device(
    serve: Callable[..., LocalServer],
    start_openid: Callable[..., OpenIDProvider],
    tmp_path: Path,
    client: ProviderClient,
    secret: str,
) -> None:
    provider = start_openid(client)
    style = 'auth-style = "in_params"\n' if "post" in client.token_endpoint_auth_method else ""
    server = serve_with(serve, tmp_path, table(provider, client, secret) + style)
    begun = device(server)
    assert begun.status == 200, begun.body
    assert begun.json["verificationUri"].startswith(provider.issuer)
    handle = begun.json["handle"]
    assert device(server, {"handle": handle}).status == 202
    approve_device(begun.json["verificationUri"], begun.json["userCode"], "ann")
    done = device(server, {"handle": handle})
    assert done.status == 200, done.body
    user = send(server, "GET", "/api/user", cookie=cookie_of(done)).json
    assert (user["name"], user["email"]) == ("ann", "ann@example.com")
    assert device(server, {"handle": handle}).status == 403
