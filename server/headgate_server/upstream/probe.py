"""Sends the requests of health checks to one address of an upstream store."""

import asyncio

from headgate_server.upstream.adapter import ProbeRequest
from headgate_server.upstream.errors import UpstreamTimeout
from headgate_server.upstream.http_client import HTTPResponse
from headgate_server.upstream.upstream import Upstream

_MAX_ANSWER_BYTES = 1 << 22
PROBE_TENANT_PREFIX = "headgate-check-"
_PROBE_TIMEOUT_SECONDS = 2.0


async def send_probe(
    upstream: Upstream, address: str, request: ProbeRequest, tenant: str = ""
) -> HTTPResponse:
    """Sends *request* to *address* and returns the complete response, within 2 seconds.

    *tenant* is the tenant to name in the request, or "". Raises UpstreamError.
    """
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
            reply = await upstream.probe(
                address, request.method, request.target, request.body, tenant
            )
            return HTTPResponse(reply.status, reply.headers, await reply.read(_MAX_ANSWER_BYTES))
    except TimeoutError:
        error = UpstreamTimeout(f"no answer within {_PROBE_TIMEOUT_SECONDS:g} s")
        upstream.record_failure(address, error)
        raise error from None
