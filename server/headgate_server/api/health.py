"""/ping, /status, /health and /metrics: liveness, health checks and Prometheus metrics."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

from headgate_engine import NOBODY, Unavailable
from headgate_server.api.query_batch import Early
from headgate_server.api.responses import Answers
from headgate_server.app_context import Service
from headgate_server.auth.errors import Unauthenticated
from headgate_server.formats import Format, Json, format_for
from headgate_server.gateway.mount import Mounted
from headgate_server.http.errors import BadRequest
from headgate_server.http.request import Call
from headgate_server.http.response import Reply, typed
from headgate_server.upstream.health_checks import State

_LONGEST_ACCEPT = 1024


async def ping(call: Call, service: Service, format: Format, mounted: Mounted | None) -> Reply:
    """Returns 204, or with `verbose` the version as JSON.

    Requires authentication if `ping-auth-enabled` is set.
    """
    await _login(call, service)
    return _pong(call, service, format.media_type)


def pings_at_once(calls: Sequence[Call], service: Service, answers: Answers) -> list[Early]:
    """Returns what `ping` would answer to each of *calls*, or the exception that it would raise.

    Returns None for each if authentication is required.
    """
    if service.settings.ping_auth_enabled:
        return [None] * len(calls)
    return [_ponged(call, service) for call in calls]


def _ponged(call: Call, service: Service) -> Reply | BadRequest:
    media_type = format_for(call.accept, pretty=False).media_type
    try:
        return _pong(call, service, media_type) if call.url_pairs else _known_pong(media_type)
    except BadRequest as error:
        return error


def _pong(call: Call, service: Service, wanted: str) -> Reply:
    if call.url_pairs.get("verbose", "") in ("", "0", "false"):
        return Reply(status_code=204, raw_headers=typed(wanted))
    return _json({"version": service.settings.reported_version})


@lru_cache
def _known_pong(media_type: str) -> Reply:
    """Returns the cached response to a ping without parameters."""
    return Reply(status_code=204, raw_headers=typed(media_type))


async def status(call: Call, service: Service, format: Format, mounted: Mounted | None) -> Reply:
    """Returns 204. Old clients request /status; it has the meaning of /ping."""
    await _login(call, service)
    return Reply(status_code=204, raw_headers=typed(format.media_type))


async def health(call: Call, service: Service, format: Format, mounted: Mounted | None) -> Reply:
    """Returns InfluxDB's health document, with a check for each upstream store.

    The status is 503, and `fail` in the document, if the user database cannot be read or no
    upstream store is usable.
    """
    await _login(call, service)
    fault = ""
    try:
        await service.look(service.store.fence)
    except Unavailable as error:
        fault = str(error)
    states = await _states(service)
    if not fault and states and not any(state.usable for _, state in states):
        fault = "no upstream store can be used"
    away = [name for name, state in states if not state.usable]
    ready = "ready for queries and writes"
    content: dict[str, object] = {
        "checks": [*_checks(service, states)],
        "message": fault or (f"{ready}, but for {', '.join(away)}" if away else ready),
        "name": "influxdb",  # clients compare it
        "status": "fail" if fault else "pass",
        "version": service.settings.reported_version,
    }
    return _json(content, 503 if fault else 200)


async def _states(service: Service) -> list[tuple[str, State]]:
    """Returns the name and a recent state of each upstream store that has an address."""
    placed = [one for one in service.gateway.all if one.upstream.up()]
    states = await asyncio.gather(*(one.checkup.state() for one in placed))
    return [(one.settings.name, state) for one, state in zip(placed, states, strict=True)]


def _checks(service: Service, states: Sequence[tuple[str, State]]) -> Iterator[dict[str, str]]:
    """Yields a check for a failed reload, and one for each upstream store."""
    if service.fault:
        # The log has the reason. It may name a file, which clients must not learn.
        text = "the last reload failed: the previous configuration stays in effect"
        yield {"name": "configuration", "status": "fail", "message": text}
    for name, state in states:
        message = state.message
        check = {"name": f"upstream {name}", "status": "fail" if message else "pass"}
        yield check | ({"message": message} if message else {})


async def show_metrics(
    call: Call, service: Service, format: Format, mounted: Mounted | None
) -> Reply:
    """Returns the metrics in a text format of Prometheus.

    Requires authentication if `metrics-auth-enabled` or `ping-auth-enabled` is set.
    """
    if service.settings.metrics_auth_enabled:
        await _proved(call, service)
    else:
        await _login(call, service)
    accept = call.headers.get("accept", "")[:_LONGEST_ACCEPT]
    text, media_type = await service.look(partial(service.metrics.page, accept))
    return Reply(text, raw_headers=typed(media_type))


async def _login(call: Call, service: Service) -> None:
    """Authenticates *call* if `ping-auth-enabled` is set: one option for all, as in InfluxDB."""
    if service.settings.ping_auth_enabled:
        await _proved(call, service)


async def _proved(call: Call, service: Service) -> None:
    """Authenticates *call*. Raises Unauthenticated also while there are no users."""
    if await service.login(call) == NOBODY:
        raise Unauthenticated("create admin user first or disable authentication")


def _json(content: dict[str, object], status: int = 200) -> Reply:
    return Reply(Json().document(content), status, typed(Json.media_type))
