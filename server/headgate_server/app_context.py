"""The objects that all endpoints of a process share: engine, authentication, thread pools."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from headgate_engine import ANONYMOUS, Principal, StoreUnavailable
from headgate_server.auth.authenticator import Authenticator
from headgate_server.auth.browser_logins import SAFE_METHODS, is_browser_login
from headgate_server.auth.credentials import RequestCredentials
from headgate_server.auth.directory_login import ISSUER_PREFIX as DIRECTORY_PREFIX
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.issuer_tokens import create_issuers
from headgate_server.auth.known_logins import KnownLogins
from headgate_server.auth.login_ways import login_ways
from headgate_server.auth.oauth.access_refresh import AccessRefresher, AccessSource
from headgate_server.auth.proxy_session import keep_session
from headgate_server.auth.proxy_user import proxy_headers
from headgate_server.auth.request_login import credentials_of
from headgate_server.auth.session_cookie_fields import SessionCookies
from headgate_server.auth.session_rotation import SessionRotation
from headgate_server.auth.sign_up import SignUpLimiter
from headgate_server.auth.throttle import Throttle
from headgate_server.background.audit_writer import BUDGET_BYTES, AuditWriter
from headgate_server.background.group_commit import GroupCommit
from headgate_server.background.thread_pool import FairThreadPool, Key
from headgate_server.background.usage_writer import UsageWriter
from headgate_server.config.effective import configuration_hash
from headgate_server.config.settings import Settings
from headgate_server.configured_engine import build_engine, open_server_store
from headgate_server.gateway.mount import Mount
from headgate_server.gateway.mounts import Gateway
from headgate_server.http.cross_site import (
    is_any_origin_allowed,
    is_cross_site,
    is_dns_rebinding,
    may_be_navigation,
    shows_no_browser,
)
from headgate_server.http.errors import CrossSiteRequest
from headgate_server.http.request import Request
from headgate_server.prepared_store import PreparedStore
from headgate_server.query.background_queries import BackgroundQueries
from headgate_server.query.executor import QueryExecutor
from headgate_server.query.prepared import PreparedQueryCache
from headgate_server.query.user_loader import UserLoader
from headgate_server.server_status import ServerStatus
from headgate_server.telemetry.logging import log_error, log_task_error
from headgate_server.telemetry.metrics import Metrics
from headgate_server.telemetry.span_export import tracing
from headgate_server.telemetry.tracing import SpanTracing

if TYPE_CHECKING:
    from headgate_server.auth.oauth.registry import ProviderRegistry

T = TypeVar("T")

_UNLIMITED = 1 << 62
_STATEMENT_THREADS = 4
_STATEMENT_QUEUE = 1024


class AppContext:
    """Opens the user store of *settings*, and creates the objects that all endpoints share.

    *prepared* is this store, if it is open already. Create it in the running event loop. Raises
    StoreError if the user store cannot be opened.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        status: ServerStatus,
        prepared: PreparedStore | None = None,
    ) -> None:
        self.settings, self.metrics, self.status = settings, metrics, status
        metrics.configuration.read(partial(configuration_hash, settings))
        if prepared is not None:
            prepared.observer.target = metrics.store
        self.store = prepared.store if prepared else open_server_store(settings, metrics.store)
        processors = max(1, (os.cpu_count() or 1) // settings.workers)
        self.engine = build_engine(self.store, settings, max_concurrent=processors)
        self.cookies = SessionCookies(settings)
        self.session_rotation = SessionRotation(
            self.engine, metrics, self.cookies, self.run_in_thread
        )
        self.prepared_queries = PreparedQueryCache(self.engine.parse, settings.max_query_size)
        self.audit_writer = AuditWriter(
            self.store,
            settings.audit_retention,
            log_error,
            budget=BUDGET_BYTES // settings.workers,
            paths=settings.growing_files(),
        )
        self.group_commit = GroupCommit(self.store)
        self._statement_pool = FairThreadPool(
            _STATEMENT_THREADS,
            _STATEMENT_QUEUE,
            max_queued_per_group=_STATEMENT_QUEUE // 8,
            max_running_per_group=_STATEMENT_THREADS // 2,
        )
        self.background_queries = BackgroundQueries(self._statement_pool, _STATEMENT_QUEUE)
        self._probe_pool = FairThreadPool(1, _STATEMENT_QUEUE)
        self.user_loader = UserLoader(self.store)
        self.query_executor = QueryExecutor(
            settings,
            self.engine,
            self.store,
            self.run_in_thread,
            self.group_commit,
            self.audit_writer,
            metrics,
        )
        self.sign_up_limiter = SignUpLimiter(settings.signup_limit, settings.signup_limit_total)
        self._issuers = create_issuers(settings.jwt)
        self.providers: ProviderRegistry | None = None
        self.providers = self._create_providers(settings)
        self.tracing = tracing(settings.gateway.otlp_endpoint)
        self.gateway = self._create_gateway(settings)
        self._tenant_watch: asyncio.Task[None] | None = None
        self._start_tenant_watch(self.gateway)
        self._closing_tasks: set[asyncio.Task[None]] = set()
        logins = KnownLogins(self.store, log_error)
        logins.start()
        self.usage = UsageWriter(self.engine, log_error)
        self.usage.start()
        # For forward-auth requests: counts failures by user and proxy, because the proxy may send
        # any client address.
        self.forward_auth_throttle = Throttle(
            settings.free_failures_address, _UNLIMITED, settings.longest_delay
        )
        throttle = Throttle(
            *settings.free_login_failures, settings.longest_delay, delays=self.store.login_delays()
        )
        # Counts the sign-ins on devices that no person has approved, by the terminal's address.
        self.device_throttle = throttle.separate()
        self._authenticator = Authenticator(
            self.engine,
            metrics,
            settings.shared_secrets,
            issuers=self._issuers,
            enabled=settings.auth_enabled,
            throttle=throttle,
            record_denied=self.audit_writer.record_denied,
            logins=logins,
            usage=self.usage,
            password_ends_tokens=settings.password_change_ends_tokens,
            ways=login_ways(settings, self.engine, self.run_in_thread, self.metrics.sign_in),
        )
        self._access_refresher = AccessRefresher(
            self._access_source, self.engine, metrics, self.run_in_thread
        )
        if prepared is not None:
            prepared.is_taken = True

    def _create_providers(self, settings: Settings) -> "ProviderRegistry | None":
        """Returns the providers of *settings*, or None without any. Raises ValueError."""
        if not any(provider.enabled for provider in settings.oauth):
            return None
        # Imported on demand, as the libraries of tokens are.
        from headgate_server.auth.oauth.registry import ProviderRegistry

        return ProviderRegistry(settings, self.engine, self.run_in_thread, self.providers)

    def _access_source(self, provider: str) -> AccessSource | None:
        """Returns what confirms the access of sessions by *provider*, or None."""
        directory = self._authenticator.ways.directory
        if provider.startswith(DIRECTORY_PREFIX):
            return directory
        return self.providers.get(provider) if self.providers is not None else None

    def key_set_ages(self) -> dict[str, float]:
        """Returns the ages of the key sets of `[auth.jwt]` in seconds, by the host of the URL."""
        return {} if self._issuers is None else self._issuers.key_set_ages()

    def snapshot(self) -> AbstractContextManager[object]:
        """Returns a context in which the requests of one batch read one snapshot of the user store.

        If the user store cannot be read, the context does nothing. Each request then reads the
        store itself, and answers with the error.
        """
        try:
            return self.store.snapshot()
        except StoreUnavailable:
            return nullcontext()

    def _exist(self, user: str, database: str) -> bool:
        """Returns whether *user* and, unless it is "", *database* are in the user store."""
        with suppress(StoreUnavailable):
            known = self.engine.user(user) is not None
            return known and (not database or self.store.database(database) is not None)
        return False

    def _create_gateway(self, settings: Settings) -> Gateway:
        if settings.gateway.cortex_metric_names:
            self.metrics.show_cortex_names()
        self.metrics.show_users(self._exist, shown=settings.gateway.user_metrics)
        parts = self.engine, self.metrics, self.tracing, self.run_in_thread
        return Gateway(settings.gateway, *parts, proxy_headers(settings.proxy))

    async def authenticate(self, request: Request, mount: Mount | None = None) -> Principal:
        """Returns the principal of *request*.

        *mount* is the upstream store, with its settings, that *request* is for; None for no store.
        If *mount* accepts tenant tokens, a tenant token is tried before other credentials. Sets
        `request.cross_site`, and the user for the access log. Raises what `Authenticator` raises,
        and BadRequest for several `Authorization` headers.
        """
        headers = request.headers
        credentials = credentials_of(request, self.cookies.name, self.settings)
        if not shows_no_browser(headers):
            request.cross_site = self.is_cross_site(request.method, headers)
        try:
            principal = await self.authenticate_credentials(
                credentials, request.address, mount, request.connection
            )
        finally:
            request.log.user = credentials.failed_user
        request.check_authorization()
        request.log.set_principal(principal)
        is_unsafe = request.method not in SAFE_METHODS
        if request.cross_site and is_unsafe and is_browser_login(principal):
            raise CrossSiteRequest
        if self.settings.proxy.enable_login_token and principal.method == "proxy":
            if request.accepts_cookie and request.sets_cookies and request.route != "/logout":
                await keep_session(
                    request, principal, self.engine, self.cookies, self.run_in_thread
                )
        if credentials.session is not None:
            await self.session_rotation.rotate(request, credentials.session)
            principal = await self.confirm_access(principal, request.address)
        return principal

    async def confirm_access(self, principal: Principal, address: str) -> Principal:
        """Returns *principal*, after its provider has confirmed the access if that is due.

        Raises SessionRejected or AccessUnconfirmed.
        """
        session = principal.session
        if session is None or not self._access_refresher.is_due(session):
            return principal
        await self._access_refresher.confirm(session, address)
        return self.engine.renew(principal)  # the provider may have changed the rights

    async def require_user(self, request: Request) -> Principal:
        """Returns the principal of *request*, for a path that requires only a login.

        Raises what `authenticate` raises. Raises Unauthenticated while the user store has no
        users: then no login can succeed.
        """
        return self.not_anonymous(await self.authenticate(request))

    @staticmethod
    def not_anonymous(principal: Principal) -> Principal:
        """Returns *principal*. Raises Unauthenticated if ANONYMOUS, before there are users."""
        if principal == ANONYMOUS:
            raise Unauthenticated("create admin user first or disable authentication")
        return principal

    def is_cross_site(self, method: str, headers: Mapping[str, str]) -> bool:
        """Returns whether a page of another web site may have made a browser send the request."""
        allowed, proxy = self.settings.trusted_origins, self.settings.proxy
        is_named = proxy.enabled and proxy.header_name.lower() in headers
        if not is_named and is_any_origin_allowed(headers, allowed):
            return False
        if is_cross_site(headers, allowed) or may_be_navigation(method, headers):
            return True
        # With authentication, a browser sends a password only to the origin it was typed for.
        return not self.settings.auth_enabled and is_dns_rebinding(headers, allowed)

    def has_cached_login(self, credentials: RequestCredentials, address: str) -> bool:
        """Returns whether *credentials* from *address* can be authenticated without waiting."""
        return self._authenticator.check_cached(credentials, address) is not None

    def is_known_client(self, name: str, address: str) -> bool:
        """Returns whether the user *name* logged in by password from *address* before."""
        return self._authenticator.is_known_client(name, address)

    async def authenticate_credentials(
        self,
        credentials: RequestCredentials,
        address: str,
        mount: Mount | None,
        connection: str = "",
    ) -> Principal:
        """Returns the principal of the client at *address* with *credentials*.

        *connection* is the address that connected, which may be that of a proxy. If *mount*
        has an anonymous principal, returns this principal without authentication. Raises what
        `Authenticator` raises.
        """
        if mount is not None and mount.anonymous_principal is not None:
            return mount.anonymous_principal
        tenants = mount.token_verifier if mount is not None else None
        return await self._authenticator(credentials, address, tenants, connection)

    def reconfigure(self, settings: Settings) -> None:
        """Replaces the settings of tokens and of the gateway by those in *settings*.

        Key files are read again, and every token is verified anew. The previous gateway is closed
        when its last request ends. Raises ValueError if *settings* are invalid. Then the previous
        settings stay in effect.
        """
        previous = self._issuers
        issuers = create_issuers(settings.jwt, previous)
        providers = self._create_providers(settings)
        gateway = self._create_gateway(settings)
        self._close_in_background(self.gateway.close_when_idle())
        if self.providers is not None:
            self._close_in_background(self.providers.retire())
        self.providers = providers
        self._start_tenant_watch(gateway)
        if previous is not None:
            self._close_in_background(previous.retire())
        self.settings, self._issuers, self.gateway = settings, issuers, gateway
        self.metrics.configuration.read(partial(configuration_hash, settings))
        self.engine.external_passwords = settings.external_passwords
        ways = login_ways(settings, self.engine, self.run_in_thread, self.metrics.sign_in)
        self._authenticator.reconfigure(settings.shared_secrets, issuers, ways)

    def _start_tenant_watch(self, gateway: Gateway) -> None:
        """Starts a task that warns of upstream stores of *gateway* that do not separate tenants.

        Cancels the task of the previous gateway.
        """
        if self._tenant_watch is not None:
            self._tenant_watch.cancel()
            self._tenant_watch = None
        if gateway.mounts:
            self._tenant_watch = asyncio.ensure_future(gateway.warn_unconfined_stores())
            self._tenant_watch.add_done_callback(log_task_error)

    def _close_in_background(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(closing)
        self._closing_tasks.add(task)
        task.add_done_callback(self._closing_tasks.discard)
        task.add_done_callback(log_task_error)

    async def run_in_thread(self, work: Callable[[], T], key: Key = ()) -> T:
        """Runs *work* in the statement thread pool, and returns its result.

        *key* identifies the user: users whose work waits for a thread take turns. Raises
        Overloaded if too many calls wait, and what *work* raises.
        """
        return await self._statement_pool.run(work, key)

    async def run_probe(self, work: Callable[[], T]) -> T:
        """Runs *work* in a thread that runs no statements, and returns its result.

        /health and /metrics use it, so that slow statements do not delay them. Raises Overloaded if
        too many calls wait, and what *work* raises.
        """
        return await self._probe_pool.run(work)

    async def close_connections(self) -> None:
        """Closes the connections to upstream stores and to token issuers.

        Waits up to 10 s for queries in the background, then cancels them.
        """
        await self.background_queries.close()
        for task in self._closing_tasks:
            task.cancel()
        if self._tenant_watch is not None:
            self._tenant_watch.cancel()
        await self.gateway.close()
        if isinstance(self.tracing, SpanTracing):
            await asyncio.get_running_loop().run_in_executor(None, self.tracing.close)
        if self._issuers is not None:
            await self._issuers.close()
        if self.providers is not None:
            await self.providers.close()

    def close(self, seconds: float = math.inf) -> bool:
        """Waits up to *seconds* for accepted statements, then closes pools, audit and user store.

        Returns False if some statements are still running; then the user store stays open. Blocks.
        """
        self._authenticator.close()
        self.usage.close()
        self._probe_pool.close(0)
        started = time.monotonic()
        finished = self._statement_pool.close(seconds)
        seconds_left = (
            None if seconds == math.inf else max(0.0, seconds - (time.monotonic() - started))
        )
        finished = self.group_commit.close(seconds_left) and finished
        self.audit_writer.close()
        if finished:
            self.store.close()
        return finished
