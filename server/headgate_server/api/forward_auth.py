"""Forward authentication: authorizes a request that another proxy holds.

The answer is 200 with the identity in headers, or 401 or 403: nginx treats other statuses as a
fault, Envoy accepts only 200. If Headgate cannot decide now, the answer is 503.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from headgate_engine import (
    NOBODY,
    AuthenticationFailed,
    Need,
    NotAuthorized,
    Principal,
    allows,
    reads,
)
from headgate_grammar import Privilege, ShowContinuousQueries, ShowQueries, Statement
from headgate_server.api.errors import refusal
from headgate_server.api.original_request import PREFIX, Original, Unclear, original
from headgate_server.api.proxy import header_text, keeps_label, somebody, target
from headgate_server.api.write import bucket_line
from headgate_server.app_context import Service
from headgate_server.auth.credentials import NamePassword, Shown, credentials
from headgate_server.auth.errors import TooManyFailures, Unauthenticated
from headgate_server.formats import Json
from headgate_server.gateway.authorization import NoRoute, View, find, judge, wishes
from headgate_server.gateway.errors import Denied
from headgate_server.gateway.local_paths import ENDPOINTS, Endpoint, Right, answered_here
from headgate_server.gateway.mount import Mounted
from headgate_server.gateway.path import checked
from headgate_server.http.errors import BadRequest, CrossSite
from headgate_server.http.form import body
from headgate_server.http.go_text import readable
from headgate_server.http.request import Call
from headgate_server.http.response import Reply, fields
from headgate_server.http.trusted_proxies import trusts, via
from headgate_server.http.urlencoded import check_number, decoded_pairs, pairs
from headgate_server.query.cheap_parsing import is_short
from headgate_server.telemetry.log_message import log_message
from headgate_server.upstream.headers import DATABASE, QUERY, TENANT, USER
from headgate_server.upstream.influxdb import InfluxStore
from headgate_server.upstream.label_rewriting import LABEL
from headgate_server.upstream.query_string import encoded

_FORM = "application/x-www-form-urlencoded"
_ERROR_BODY = "X-Auth-Error-Body"
_LONGEST_ERROR = 1024
# InfluxDB's parameters that change more than the form of the answer: repeated, they are ambiguous.
_ONCE = frozenset({"q", "db", "rp", "epoch", "precision", "bucket", "consistency", "params"})


@dataclass(frozen=True, slots=True)
class Allowed:
    """An authorized request: the user's name, the databases, the tenant, the rewritten query."""

    name: str
    databases: tuple[str, ...] = ()
    tenant: str = ""
    query: str = ""


async def forward_auth(call: Call, service: Service) -> Reply:
    """Returns the answer to the forward authentication subrequest *call*.

    Errors of authentication and authorization become answers; an unforeseen error is raised.
    """
    if not trusts(service.gateway.askers, call.connection):
        return _denied(403, "not a trusted proxy: see trusted-proxies in [gateway]", "")
    realm = service.settings.realm
    told_address = call.connection
    try:
        asked = original(call)
        told_address = asked.address
        call.cross_site = service.cross_site(asked.method, {**call.headers, "host": asked.host})
        mounted = _mounted(service, asked)
        allowed = await _judge(call, service, mounted, asked)
    except (NoRoute, Unclear) as error:
        call.note.error = str(error)
        return _denied(403, str(error), realm)
    except Exception as error:
        row = refusal(error)
        if row is None:
            raise
        call.note.error = log_message(error)
        if isinstance(error, Denied):
            origin = via(told_address, call.connection)
            service.recorder.refused(error.name, origin, "-- /auth", f"requires {error.need}")
        status = row.status if row.status == 401 else 403
        if row.status >= 429:
            status = 503  # not decided: the proxy may retry
        return _denied(status, row.prefix + str(error), realm, row.headers)
    call.note.user, call.note.database = allowed.name, "|".join(map(readable, allowed.databases))
    headers = {
        USER: header_text(allowed.name),
        DATABASE: header_text("|".join(allowed.databases)),
        TENANT: allowed.tenant,
        QUERY: allowed.query,
    }
    # Empty headers are sent, too: the proxy replaces the client's headers with them.
    return Reply(raw_headers=fields(headers))


def _denied(status: int, text: str, realm: str, headers: Mapping[str, str] | None = None) -> Reply:
    said = {"Content-Type": "application/json", **(headers or {})}
    # nginx passes headers to the client, but no body.
    said[_ERROR_BODY] = json.dumps({"error": text[:_LONGEST_ERROR]})
    if status == 401:
        said["WWW-Authenticate"] = f'Basic realm="{realm}"'
    else:
        said["X-Influxdb-Error"] = header_text(text[:_LONGEST_ERROR])
    return Reply(Json().error(text), status, fields(said))


def _mounted(service: Service, asked: Original) -> Mounted:
    """Returns the upstream that *asked* names. Raises Unclear."""
    by_name = service.gateway.named(asked.upstream)
    if by_name is None:
        raise Unclear(
            "no upstream of that name" if asked.upstream else "several upstreams: name one"
        )
    return by_name


async def _judge(call: Call, service: Service, mounted: Mounted, asked: Original) -> Allowed:
    check_number(asked.query)
    path = checked(asked.path)
    mount = mounted.settings.mount
    if mount and path.startswith(mount + "/"):
        path = path.removeprefix(mount)
    below = path.encode() != asked.path
    call.route = f"{PREFIX.decode()} {mounted.settings.name}"
    view = View(asked.method, path, asked.query, wishes(call.headers.getlist(TENANT)))
    try:
        found = find(mounted, view) if mounted.table is not None else None
    except NoRoute:
        found = None
        if not answered_here(mounted, path, mounted=below):
            raise
    if found is None:
        pattern = answered_here(mounted, path, mounted=below)
        if not pattern:
            raise NoRoute(set())
        call.route += f" {pattern}"
        return await _ours(call, service, mounted, asked, pattern)
    call.route += f" {found.pattern}"
    principal = somebody(await _proved(call, service, mounted, asked), mounted)
    judged = judge(mounted, service.engine, found, principal)
    _check_site(call, changes=judged.route.privilege != "READ")
    if judged.path != path:
        raise Unclear("a path that only Headgate itself can rewrite: name the database otherwise")
    labelled = mounted.settings.protocol == "victoriametrics"
    if labelled and not asked.rewrites and not principal.unrestricted:
        # Without Headgate's rewritten query the request lacks the label that confines it.
        raise Unclear(f"{asked.kind} cannot confine a request: ask Headgate as the proxy itself")
    if keeps_label(judged, mounted) and judged.route.format != "csv":
        raise Unclear(
            f"a label {LABEL} in the body would be lost: ask Headgate as the proxy itself,"
            " or set overwrite-label"
        )
    _, _, query = target(judged, mounted, asked.query).partition("?")
    decision = judged.decision
    tenant = decision.tenant if mounted.settings.protocol != "victoriametrics" else ""
    return Allowed(principal.name, decision.databases, tenant, query)


def _check_site(call: Call, *, changes: bool) -> None:
    """Raises CrossSite if a page of another site opens a WebSocket or sends a request that
    *changes* anything.
    """
    # Proxies remove `Upgrade` from the subrequest. A page cannot set this header (RFC 6455).
    if call.cross_site and "sec-websocket-key" in call.headers:
        raise CrossSite("a WebSocket")
    if call.cross_site and changes:
        raise CrossSite


async def _proved(call: Call, service: Service, mounted: Mounted, asked: Original) -> Principal:
    """Authenticates the original request *asked*. Raises what a login raises.

    A proxy may pass on an address that the client chose. So a user's failures are also counted for
    the connection, where as many are free as for one address. Logins from an address where the user
    has logged in before are neither counted nor delayed there.
    """
    shown = Shown(pairs(asked.query), call.headers.getlist)
    prove = partial(service.prove, shown, asked.address, mounted, call.connection)
    name = _name(shown)
    if asked.address == call.connection or not name or service.remembers(shown, asked.address):
        return await prove()
    if service.was_let_in(name, asked.address):
        return await prove()
    throttle, origin = service.relayed, via(asked.address, call.connection)
    try:
        throttle.begin(name, call.connection)
    except TooManyFailures:
        if service.engine.user(name) is not None:
            service.recorder.refused(name, origin, "-- login (password)", "too many failed logins")
        raise
    try:
        principal = await prove()
    except AuthenticationFailed:
        raise
    except BaseException:
        throttle.undecided(name, call.connection)
        raise
    throttle.succeeded(name, call.connection)
    return principal


def _name(shown: Shown) -> str:
    """Returns the user name if *shown* contains a name and a password, else ""."""
    try:
        found = credentials(shown)
    except Unauthenticated:
        return ""
    return found.name if isinstance(found, NamePassword) else ""


async def _ours(
    call: Call, service: Service, mounted: Mounted, asked: Original, pattern: str
) -> Allowed:
    """Authorizes a request for a path that Headgate, as the proxy, would answer itself.

    Raises NoRoute, Unclear and what `_influx` and a login raise.
    """
    endpoint = ENDPOINTS[pattern]
    if endpoint.methods and asked.method not in endpoint.methods:
        raise NoRoute(set(endpoint.methods))
    if endpoint.right is Right.OPEN:
        if not service.settings.ping_auth_enabled:
            return Allowed("")
        principal = await _proved(call, service, mounted, asked)
        if principal == NOBODY:
            raise Unauthenticated("create admin user first or disable authentication")
        return Allowed(principal.name)
    principal = await _proved(call, service, mounted, asked)
    if endpoint.right is Right.OURS:
        raise Unclear("the path is Headgate's own: route it to Headgate itself")
    if endpoint.right in (Right.REFUSED, Right.FIGURES):
        raise Unclear("the path is not served")
    if mounted.store is None or mounted.table is not None:
        raise Unclear("Headgate answers this itself: route it to Headgate itself")
    return await _influx(call, service, mounted, principal, asked, endpoint)


async def _influx(
    call: Call,
    service: Service,
    mounted: Mounted,
    principal: Principal,
    asked: Original,
    endpoint: Endpoint,
) -> Allowed:
    """Authorizes a request for one of InfluxDB's own paths.

    Raises Denied, BadRequest, NoRoute, AccessDenied, AuthenticationFailed, CrossSite, ParseError,
    UnparseError, TooLarge, Overloaded.
    """
    names = [name for name, _ in decoded_pairs(asked.query)]
    if b";" in asked.query or any(name in _ONCE and names.count(name) > 1 for name in names):
        raise BadRequest("ambiguous parameters")
    store = mounted.store
    assert store is not None
    if endpoint.influxdb and not store.takes_remote:
        raise NoRoute(set())
    fields = pairs(asked.query)
    if endpoint.right is Right.QUERY:
        fields = await _with_body(call, service, principal, asked, fields)
        query = partial(_query, call, service, store.influx, principal, fields, endpoint.parameters)
        if is_short(fields.get("q", "")):
            return query()
        return await service.run(query, (principal.name or asked.address,))
    database = fields.get("db", "")
    if endpoint.right is Right.BUCKET:
        database = bucket_line(fields.get("bucket", ""), fields.get("precision", "")).database
    privilege = Privilege.READ if endpoint.right is Right.READ else Privilege.WRITE
    need = Need(privilege, readable(database))
    _check(principal, need)
    _check_site(call, changes=privilege is not Privilege.READ)
    chosen = [(name, fields[name]) for name in endpoint.parameters if fields.get(name)]
    return Allowed(principal.name, (need.database,), query=encoded(chosen))


def _check(principal: Principal, need: Need) -> None:
    user = principal.user
    if not need.database:
        raise BadRequest("database is required")
    if user is not None and not allows(user, need):
        raise Denied(user.name, need)
    if user is None and not principal.trusted:
        raise Denied("nobody", need)


async def _with_body(
    call: Call,
    service: Service,
    principal: Principal,
    asked: Original,
    fields: dict[str, str],
) -> dict[str, str]:
    """Returns *fields*, the URL's parameters, merged with those of a form body.

    Raises Denied if the body is not such a form or not part of the subrequest, unless *principal*
    is unrestricted; BadRequest, TooLarge, Overloaded.
    """
    if asked.method == "GET":
        return fields  # InfluxDB ignores the body of a GET
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if asked.body and kind == _FORM:
        parts = [part async for part in body(call, service.settings.max_query_size)]
        encoded_form = b"".join(parts)
        check_number(encoded_form)
        parse = partial(pairs, encoded_form)
        return fields | await service.run(parse, (principal.name or asked.address,))
    if not principal.unrestricted:
        raise Denied(principal.name, Need(admin=True))
    return fields


def _query(
    call: Call,
    service: Service,
    store: InfluxStore,
    principal: Principal,
    fields: dict[str, str],
    parameters: tuple[str, ...],
) -> Allowed:
    """Parses, authorizes and prints a query.

    Blocking: a long query takes up to a second, so it runs in a thread.

    Raises BadRequest, ParseError, AccessDenied, AuthenticationFailed, CrossSite, UnparseError.
    """
    text, database = readable(fields.get("q", "")), readable(fields.get("db", ""))
    if not text:
        raise BadRequest('missing required parameter "q"')
    engine = service.engine
    # The query may have waited for a thread: the user's current privileges decide.
    now = engine.renew(principal)
    authorize = engine.authorizer(now, database)

    def check(statement: Statement) -> None:
        authorize(statement)
        _check_site(call, changes=not reads(statement))
        # The store would answer for its own users, or show all queries to each user.
        partly = isinstance(statement, ShowQueries | ShowContinuousQueries)
        if store.is_ours(statement) or (partly and not now.unrestricted):
            raise NotAuthorized(now.name, str(statement), "Headgate itself to be asked")

    statements = engine.parse(text, each=check)
    if not statements:
        engine.authorize(now, (), database)
    chosen = [("q", "; ".join(map(store.read_back, statements)))]
    chosen += [(name, fields[name]) for name in parameters if fields.get(name)]
    return Allowed(now.name, (database,) if database else (), query=encoded(chosen))
