"""The endpoints /ping, /status, /health and /metrics: liveness, health and Prometheus metrics."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial

from headgate_engine import StoreCondition, StoreUnavailable
from headgate_server.app_context import AppContext
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.gzip import accepts_gzip, encode_body
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers
from headgate_server.telemetry.logging import log_error
from headgate_server.upstream.health_checks import StoreHealth

_MAX_ACCEPT_CHARS = 1024


async def ping(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns 204, or with `verbose` the version as JSON.

    Requires authentication if `ping-auth-enabled` is set.
    """
    await _authenticate_if_required(request, context)
    return _ping_response(request, context, encoder.media_type)


def _ping_response(request: Request, context: AppContext, media_type: str) -> Response:
    verbose = request.may_have(b"verbose") and request.url_params.get("verbose", "")
    if not verbose or verbose in ("0", "false"):
        return _no_content(media_type)
    return _json_response({"version": context.settings.reported_version})


@lru_cache(256)
def _no_content(media_type: str) -> Response:
    return Response(status_code=204, raw_headers=content_headers(media_type))


async def status(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns 204, like /ping without `verbose`. Old clients request /status instead of /ping."""
    await _authenticate_if_required(request, context)
    return Response(status_code=204, raw_headers=content_headers(encoder.media_type))


async def health(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns InfluxDB's health document, with a check for each upstream store.

    The status is 503, with `fail` in the document, in three cases:

    - the server is stopping, and still answers (`shutdown-delay`);
    - the user store cannot be read;
    - upstream stores are configured, and every upstream store is unusable.
    """
    await _authenticate_if_required(request, context)
    problem, condition = await context.run_probe(partial(_probe, context))
    store_problem = problem
    healths = await _upstream_states(context)
    if context.status.is_stopping:
        problem = "stopping: send further requests to another server"
    elif not problem and healths and not any(state.usable for _, state in healths):
        problem = "no upstream store can be used"
    unavailable = [name for name, state in healths if not state.usable]
    ready = "ready for queries and writes"
    content: dict[str, object] = {
        "checks": [*_store_checks(store_problem, condition), *_checks(context, healths)],
        "message": problem
        or (f"{ready}, but for {', '.join(unavailable)}" if unavailable else ready),
        "name": "influxdb",  # clients expect this name
        "status": "fail" if problem else "pass",
        "version": context.settings.reported_version,
    }
    return _json_response(content, 503 if problem else 200)


def _probe(context: AppContext) -> tuple[str, StoreCondition | None]:
    """Returns why the user store cannot be used, or "", and its condition. Blocking."""
    try:
        context.store.confirmed_revision()
    except StoreUnavailable as error:
        return str(error), context.store.condition()
    return "", context.store.condition()


def _store_checks(problem: str, condition: StoreCondition | None) -> Iterator[dict[str, str]]:
    """Yields the check of a store that several machines share."""
    if condition is not None:
        age = f"proven {condition.proof_age:.1f} s ago"
        members = f"{condition.members_up} of {condition.members} members respond"
        status = "fail" if problem else "pass"
        yield {"name": "store", "status": status, "message": f"{age}, {members}"}


async def _upstream_states(context: AppContext) -> list[tuple[str, StoreHealth]]:
    """Returns the name and a recent state of each upstream store that has an address."""
    configured = [one for one in context.gateway.mounts if one.upstream.reachable()]
    states = await asyncio.gather(*(one.health_check.health() for one in configured))
    return [(one.settings.name, state) for one, state in zip(configured, states, strict=True)]


def _checks(
    context: AppContext, states: Sequence[tuple[str, StoreHealth]]
) -> Iterator[dict[str, str]]:
    """Yields the checks of /health: one for a failed reload, and one for each upstream store."""
    if context.status.reload_error:
        # The log has the reason. It may name a file, which clients must not learn.
        text = "the last reload failed: the previous configuration stays in effect"
        yield {"name": "configuration", "status": "fail", "message": text}
    for name, state in states:
        message = state.client_message
        check = {"name": f"upstream {name}", "status": "fail" if message else "pass"}
        yield check | ({"message": message} if message else {})


async def show_metrics(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the metrics in a text format of Prometheus.

    Requires authentication if `metrics-auth-enabled` or `ping-auth-enabled` is set.
    """
    if context.settings.metrics_auth_enabled:
        await context.require_user(request)
    else:
        await _authenticate_if_required(request, context)
    accept = request.headers.get("accept", "")[:_MAX_ACCEPT_CHARS]
    gzip = accepts_gzip(request.headers.get("accept-encoding", ""))
    context.metrics.configuration.key_sets(context.key_set_ages())
    text, media_type = await context.run_probe(partial(_render_metrics, context, accept))
    body = await context.run_probe(partial(encode_body, text, gzip=gzip))
    return Response(body, raw_headers=content_headers(media_type, gzip=gzip))


def _render_metrics(context: AppContext, accept: str) -> tuple[bytes, str]:
    """Returns the metrics and their media type. Blocking."""
    sessions = context.engine.sessions
    try:
        counts = context.store.account_counts(sessions.limits, sessions.now())
        context.metrics.accounts.set(
            counts,
            users=context.store.user_count(),
            admins=context.store.admin_count(),
            databases=len(context.store.databases()),
        )
        context.metrics.store.set_condition(context.store.condition())
    except StoreUnavailable as error:  # the other metrics are shown all the same
        log_error(f"the user store cannot be counted: {error}")
    with suppress(StoreUnavailable):  # an etcd may tell its size to some users alone
        context.metrics.store.set_size(context.store.size())
    return context.metrics.render(accept)


async def _authenticate_if_required(request: Request, context: AppContext) -> None:
    """Authenticates *request* if `ping-auth-enabled` is set.

    As in InfluxDB, that option covers /ping, /status, /health and /metrics.
    """
    if context.settings.ping_auth_enabled:
        await context.require_user(request)


def _json_response(content: dict[str, object], status: int = 200) -> Response:
    return Response(JsonEncoder().encode(content), status, content_headers(JsonEncoder.media_type))
