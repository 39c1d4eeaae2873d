"""Process-wide objects of the endpoints: engine, authentication, thread pools, metrics."""

import asyncio
import math
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from headgate_engine import AuditFile, Engine, Passwords, Principal, Unavailable
from headgate_grammar import Bounds, ParseCache, UnparseError
from headgate_server.auth.authenticator import Login
from headgate_server.auth.credentials import Shown
from headgate_server.auth.jwt.issuers import Issuers
from headgate_server.auth.known_logins import KnownLogins
from headgate_server.auth.throttle import Throttle
from headgate_server.background.audit_writer import BUDGET_BYTES, Recorder
from headgate_server.background.group_commit import Changes
from headgate_server.background.thread_pool import Key, Pool
from headgate_server.config.settings import Settings
from headgate_server.gateway.mount import Mounted
from headgate_server.gateway.mounts import Gateway
from headgate_server.http.errors import Overloaded
from headgate_server.http.origin import cross_site, may_be_navigation, rebound, shows_no_browser
from headgate_server.http.request import Call
from headgate_server.query.executor import QueryExecutor
from headgate_server.query.prepared import Preparations
from headgate_server.telemetry.log_message import log_message
from headgate_server.telemetry.logging import complain, report
from headgate_server.telemetry.metrics import Metrics
from headgate_server.telemetry.request_log import Note
from headgate_server.telemetry.timed_store import MeasuredStore
from headgate_server.telemetry.tracing import Traced, tracing
from headgate_server.upstream.errors import Answered, UpstreamError

T = TypeVar("T")

_UNLIMITED = 1 << 62
_STATEMENT_THREADS = 4
_STATEMENT_QUEUE = 1024
_ATTENDED_SECONDS = 10.0  # at shutdown, for statements that run upstream
# About a quarter of a second of RE2. A dashboard needs a hundredth of it.
_REGEXES = 500_000


def bounds_of(settings: Settings) -> Bounds:
    """Returns the limits for parsing a query, which apply before it is authorized."""
    return Bounds(
        settings.max_statements, settings.max_statement_length, _REGEXES, settings.max_tokens
    )


class Service:
    """Opens the store of *settings*, and creates all shared objects of this process.

    Create it in the running event loop. Raises StoreError if the store cannot be opened.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.fault = ""  # error of the last reload, while the previous settings stay in effect
        audit_file = AuditFile(settings.audit_file) if settings.audit_file else None
        self.store = MeasuredStore(settings.store_path, metrics, audit_file)
        self.engine = Engine(
            self.store,
            Passwords(
                settings.bcrypt_cost,
                least=settings.password_min_length,
                at_once=max(1, (os.cpu_count() or 1) // settings.workers),
            ),
            ParseCache(bounds=bounds_of(settings)),
            keep_last_admin=settings.keep_last_admin and settings.auth_enabled,
        )
        self.prepared = Preparations(self.engine.parse, settings.max_query_size)
        self.recorder = Recorder(
            self.store,
            settings.audit_retention,
            complain,
            budget=BUDGET_BYTES // settings.workers,
            paths=[path for path in (settings.store_path, settings.audit_file) if path],
        )
        self.changes = Changes(self.store)
        self._statements = Pool(
            _STATEMENT_THREADS,
            _STATEMENT_QUEUE,
            share=_STATEMENT_QUEUE // 8,
            at_once=_STATEMENT_THREADS // 2,
        )
        self._looks = Pool(1, _STATEMENT_QUEUE)
        self.queries = QueryExecutor(
            settings, self.engine, self.store, self.run, self.changes, self.recorder, metrics
        )
        self._issuers = Issuers(settings.jwt) if settings.jwt.enabled else None
        self.tracing = tracing(settings.gateway.otlp_endpoint)
        self.traced = isinstance(self.tracing, Traced)
        self.gateway = self._gateway(settings)
        self._watching: asyncio.Task[None] | None = None
        self._watch(self.gateway)
        self._retiring: set[asyncio.Task[None]] = set()
        self._attended: set[asyncio.Task[None]] = set()
        logins = KnownLogins(self.store, complain)
        logins.start()
        # For forward-auth requests: counts failures by user and proxy, because the proxy may send
        # any client address.
        self.relayed = Throttle(settings.free_failures_address, _UNLIMITED, settings.longest_delay)
        self._login = Login(
            self.engine,
            metrics,
            settings.shared_secrets,
            issuers=self._issuers,
            enabled=settings.auth_enabled,
            throttle=Throttle(
                settings.free_failures, settings.free_failures_address, settings.longest_delay
            ),
            refused=self.recorder.refused,
            logins=logins,
        )

    def _gateway(self, settings: Settings) -> Gateway:
        if settings.gateway.cortex_metric_names:
            self.metrics.show_cortex_names()
        return Gateway(settings.gateway, self.engine, self.metrics, self.tracing, self.run)

    async def login(self, call: Call, mounted: Mounted | None = None) -> Principal:
        """Authenticates *call*. If *mounted* accepts tenant tokens, those are tried first.

        Sets `call.cross_site` and the user in the access log. Raises what `Login` raises, and
        BadRequest for several `Authorization` headers.
        """
        shown = Shown(call.url_pairs, call.headers.getlist)
        call.cross_site = self.cross_site(call.method, call.headers)
        principal = await self.prove(shown, call.address, mounted, call.connection)
        call.check_authorization()
        call.note.user = principal.name
        return principal

    def cross_site(self, method: str, headers: Mapping[str, str]) -> bool:
        """Returns whether a page of another site may have made the browser send a request with
        *method* and *headers*.
        """
        allowed = self.settings.origins
        if cross_site(headers, allowed) or may_be_navigation(method, headers):
            return True
        # With authentication, a browser sends a password only to the origin it was typed for.
        return not self.settings.auth_enabled and rebound(headers, allowed)

    def may_change(self, call: Call) -> bool:
        """Returns whether *call* may change data: True unless it may come from another site."""
        return shows_no_browser(call.headers) or not self.cross_site(call.method, call.headers)

    def known(self, call: Call) -> Principal | None:
        """Returns the principal of *call* if it can be authenticated without waiting, or None.

        None also means that authentication failed, or that there are several `Authorization`
        headers. The login is not counted in the metrics: see `count_known`.
        """
        if call.headers.several("authorization"):
            return None
        shown = Shown(call.url_pairs, call.headers.getlist)
        call.known = self._login.known(shown, call.address)
        if call.known is not None:
            call.note.user = call.known.name
        return call.known

    def remembers(self, shown: Shown, address: str) -> bool:
        """Returns whether `Login.known` accepts *shown* from *address*, that is without waiting."""
        return self._login.known(shown, address) is not None

    def was_let_in(self, name: str, address: str) -> bool:
        """Returns whether the user *name* logged in by password from *address* before."""
        return self._login.was_let_in(name, address)

    def count_known(self, call: Call) -> None:
        """Counts the login in the metrics if `known` has authenticated *call*.

        `known` does not count it, because its result may be discarded.
        """
        if call.known is not None:
            self._login.count(call.known)

    async def prove(
        self, shown: Shown, address: str, mounted: Mounted | None, connection: str = ""
    ) -> Principal:
        """Authenticates the credentials *shown* of the client at *address*.

        *connection* is the address of the other end of the connection, such as a proxy. Returns the
        principal that is configured for *mounted*, if any, without authentication. Raises what
        `Login` raises.
        """
        if mounted is not None and mounted.anybody is not None:
            return mounted.anybody
        tenants = mounted.login if mounted is not None else None
        return await self._login(shown, address, tenants, connection)

    def reconfigure(self, settings: Settings) -> None:
        """Replaces the settings of tokens and of the gateway by those of *settings*.

        Key files are read again, and every token is verified anew. The previous gateway is closed
        when its last request ends. Raises ValueError if *settings* are invalid; the previous
        settings then stay in effect.
        """
        former = self._issuers
        issuers = Issuers(settings.jwt, former=former) if settings.jwt.enabled else None
        gateway = self._gateway(settings)
        self._retire(self.gateway.retire())
        self._watch(gateway)
        if former is not None:
            self._retire(former.retire())
        self.settings, self._issuers, self.gateway = settings, issuers, gateway
        self._login.take_tokens(settings.shared_secrets, issuers)

    def _watch(self, gateway: Gateway) -> None:
        """Starts a background task that warns of stores of *gateway* that do not separate tenants.

        Cancels the task of the previous gateway.
        """
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        if gateway.all:
            self._watching = asyncio.ensure_future(gateway.watch_tenants())

    def _retire(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(ending)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def run(self, work: Callable[[], T], key: Key = ()) -> T:
        """Runs *work* in the statement thread pool, and returns its result.

        Different keys, one for each user, share the threads fairly. Raises Overloaded, and what
        *work* raises.
        """
        return await self._statements.run(work, key)

    async def look(self, work: Callable[[], T]) -> T:
        """Runs the probe *work* in a thread of its own, and returns its result.

        Statements do not delay it: /health and /metrics use it. Raises Overloaded, and what *work*
        raises.
        """
        return await self._looks.run(work)

    def detach(self, results: Iterable[object], note: Note, key: Key) -> None:
        """Consumes *results* in the statement thread pool, after the response was sent.

        Errors are only logged, because the client has its response. Raises Overloaded.
        """

        def finish() -> None:
            try:
                deque(results, maxlen=0)
            except Exception as error:
                report(error, note.id)
            else:
                if note.error:
                    complain("asynchronous query failed", request_id=note.id, error=note.error)

        self._statements.submit(finish, key)

    def attend(
        self,
        work: Coroutine[Any, Any, None],
        note: Note,
        holds: Sequence[Callable[[], None]] = (),
    ) -> None:
        """Runs *work* as a task of the event loop, after the response was sent.

        Calls *holds* when it ends, also if it is rejected. Errors are only logged. Raises
        Overloaded.
        """
        if len(self._attended) >= _STATEMENT_QUEUE:
            work.close()
            for let_go in holds:
                let_go()
            raise Overloaded

        async def finish() -> None:
            try:
                await work
            except (UpstreamError, Answered, UnparseError, Overloaded, Unavailable) as error:
                note.error = log_message(error)
            except Exception as error:
                report(error, note.id)
            finally:
                for let_go in holds:
                    let_go()
            if note.error:
                complain("asynchronous query failed", request_id=note.id, error=note.error)

        task = asyncio.ensure_future(finish())
        self._attended.add(task)
        task.add_done_callback(self._attended.discard)

    async def disconnect(self) -> None:
        """Closes the connections to upstream stores and to token issuers.

        Waits up to 10 s for statements of `attend`, then cancels them.
        """
        if self._attended:
            await asyncio.wait(self._attended, timeout=_ATTENDED_SECONDS)
        for task in (*self._retiring, *self._attended):
            task.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await self.gateway.close()
        if isinstance(self.tracing, Traced):
            await asyncio.get_running_loop().run_in_executor(None, self.tracing.close)
        if self._issuers is not None:
            await self._issuers.close()

    def close(self, seconds: float = math.inf) -> bool:
        """Waits up to *seconds* for accepted statements, then closes pools, audit and store.

        Returns False if some have not finished; the store then stays open. Blocking.
        """
        self._login.close()
        self._looks.close(0)
        began = time.monotonic()
        finished = self._statements.close(seconds)
        left = None if seconds == math.inf else max(0.0, seconds - (time.monotonic() - began))
        finished = self.changes.close(left) and finished
        self.recorder.close()
        if finished:
            self.store.close()
        return finished
