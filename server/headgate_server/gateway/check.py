"""Whether what is configured of the gateway can be, before it is."""

import asyncio
import ssl
from itertools import chain
from urllib.parse import urlsplit

from headgate_server.gateway.client import tls
from headgate_server.gateway.settings import INFLUX, GatewaySettings, UpstreamSettings
from headgate_server.gateway.table import table_for
from headgate_server.gateway.tokens import TenantLogin
from headgate_server.tracing import available


def check(settings: GatewaySettings) -> None:
    """Raises ValueError, one line with the upstream and its option."""
    if settings.otlp_endpoint and not available():
        raise ValueError("otlp-endpoint: expected the extra otel: pip install 'headgate[otel]'")
    for one in settings.upstreams:
        try:
            if one.protocol not in INFLUX:
                table_for(one)
            if one.jwt.enabled:
                TenantLogin(one.jwt)
            tls(one.tls_ca)
        except ValueError as error:
            raise ValueError(f"upstream {one.name!r}: {error}") from None


async def connect(settings: GatewaySettings) -> list[str]:
    """A sentence for each address of an upstream to which no connection (TCP, TLS) can be made."""
    tried = [
        _try(one, url)
        for one in settings.upstreams
        for url in dict.fromkeys(chain(one.urls, *one.components.values()))
    ]
    return [problem for problem in await asyncio.gather(*tried) if problem]


async def _try(settings: UpstreamSettings, url: str) -> str:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = (tls(settings.tls_ca) or ssl.create_default_context()) if secure else None
    try:
        async with asyncio.timeout(settings.connect_timeout or None):
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    except TimeoutError:
        reason = f"no connection within {settings.connect_timeout:g} s"
    except ssl.SSLCertVerificationError as error:
        reason = f"its certificate is not accepted: {error.verify_message}"
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        writer.transport.abort()
        return ""
    return f"upstream {settings.name!r}: {url}: {reason}"
