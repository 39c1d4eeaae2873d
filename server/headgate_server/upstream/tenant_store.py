"""Mimir, Loki, Pyroscope and Prometheus as upstream stores. Their databases are tenants.

The header X-Scope-OrgID confines each request to its tenants.
"""

import json
import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.route import COMPONENTS, Route
from headgate_server.config.tenant_names import TENANT_PATTERN, is_tenant
from headgate_server.http.errors import BadRequest
from headgate_server.upstream.adapter import BodyHandling, InfluxQLStore, ProbeRequest
from headgate_server.upstream.label_rewriting import LabelRenamer
from headgate_server.upstream.option_checks import check_tenants, check_unsupported
from headgate_server.upstream.probe import PROBE_TENANT_PREFIX, send_probe
from headgate_server.upstream.query_string import strip_credentials
from headgate_server.upstream.upstream import Upstream

_UNSUPPORTED_OPTIONS = (
    *("drop_data", "overwrite_label", "max_labels", "drop_foreign_data", "label", "databases"),
)
_COMPONENTS = tuple(one for one in COMPONENTS if one not in ("insert", "select"))
_READS_ALL_TEXT = "READ on one database reads all"
# Only Prometheus itself serves this path.
_WAL_REPLAY_PATH = "/api/v1/status/walreplay"


class TenantStoreAdapter:
    """Adapts a store with tenants. The subclasses state what differs between the kinds.

    `labels_path` is the path that lists the labels of a tenant, in the form that `labels` reads. It
    is "" if the kind has no such path.
    """

    authorization_scheme: ClassVar[str] = "Bearer"
    ready_path: ClassVar[str] = "/ready"
    labels_path: ClassVar[str] = ""
    serves_several_databases = True
    has_tenant_header = True

    def __init__(self, upstream: Upstream, run: Run) -> None:
        self.upstream = upstream

    @property
    def influxql(self) -> InfluxQLStore | None:
        """None: the store has neither InfluxQL nor line protocol."""
        return None

    @property
    def proxied_api(self) -> "TenantStoreAdapter":
        """The adapter itself, which implements `ProxiedAPI`."""
        return self

    @classmethod
    def check_settings(cls, settings: UpstreamSettings) -> None:
        """Raises ValueError for an option that a store with tenants does not support."""
        check_unsupported(settings, _UNSUPPORTED_OPTIONS)
        check_tenants(settings, TENANT_PATTERN, "names such as team-a", _COMPONENTS)

    @property
    def label_renamer(self) -> LabelRenamer:
        """Renames no label: the header names the tenant."""
        return LabelRenamer((), 0)

    def split_databases(self, path: str, query: bytes) -> tuple[str, list[str]]:
        """Returns *path* and []: neither names a database."""
        return path, []

    def tenant(self, databases: Sequence[str]) -> str:
        """Returns the tenants of *databases*, with `|` between them.

        Raises BadRequest for a name that is an invalid tenant.
        """
        tenants = self.upstream.settings.tenants
        names = [tenants.get(database, database) for database in databases]
        if not all(map(is_tenant, names)):
            raise BadRequest("the database's name is an invalid tenant name")
        return "|".join(names)

    def upstream_target(
        self, route: Route, path: str, query: bytes, databases: Sequence[str], tenant: str
    ) -> str:
        """Returns *path* and *query* without user credentials: the header names the tenant."""
        parameters = strip_credentials(query)
        return f"{path}?{parameters}" if parameters else path

    def body_handling(self, route: Route, tenant: str) -> BodyHandling:
        """Returns FORWARD: no body can widen what the header allows."""
        return BodyHandling.FORWARD

    def rewrite_form(self, form: bytes) -> bytes:
        """Returns *form* unchanged."""
        return form

    def content_type(self, route: Route, content_type: str) -> str:
        """Returns *content_type* unchanged."""
        return content_type

    def probe_request(self) -> ProbeRequest:
        """Returns the HTTP request that shows whether the store is ready."""
        return ProbeRequest("GET", self.ready_path)

    async def protocol_mismatch(self, address: str) -> str:
        """Returns a problem if *address* serves queries but lacks `labels_path`, else "".

        Returns "" also for a kind without `labels_path`. Raises UpstreamError.
        """
        settings = self.upstream.settings
        queried = (*settings.addresses("query-frontend"), *settings.addresses("querier"))
        if not self.labels_path or address not in queried:
            return ""
        request = ProbeRequest("GET", self.labels_path)
        reply = await send_probe(self.upstream, address, request, f"{PROBE_TENANT_PREFIX}0")
        missing = reply.status in (400, 404, 405)
        return f"does not answer as {settings.protocol}: see protocol" if missing else ""

    async def confinement_warning(self) -> str:
        """Returns a warning if two tenants that do not exist see the same labels, else "".

        Such a store does not separate tenants, so a user with READ on one database can read all
        data. An empty store yields "". Raises UpstreamError.
        """
        address = self._query_address()
        if not self.labels_path or not address:
            return ""
        first, second = [await self._tenant_labels(address) for _ in range(2)]
        if first and first == second:
            return f"{self._described(address)} answers every tenant alike: {_READS_ALL_TEXT}"
        return ""

    def _query_address(self) -> str:
        """Returns an address that serves queries, or ""."""
        settings = self.upstream.settings
        addresses = settings.addresses("query-frontend") or settings.addresses("querier")
        return addresses[0] if addresses else ""

    def _described(self, address: str) -> str:
        return f"upstream {self.upstream.name!r}: {address}"

    async def _tenant_labels(self, address: str) -> list[Any]:
        """Returns the labels that *address* shows to a random tenant, which does not exist."""
        tenant = PROBE_TENANT_PREFIX + secrets.token_hex(8)
        request = ProbeRequest("GET", self.labels_path)
        reply = await send_probe(self.upstream, address, request, tenant)
        return self.labels(reply.body) if reply.status == 200 else []

    @staticmethod
    def labels(content: bytes) -> list[Any]:
        """Returns the labels in *content*, a response of `labels_path`: `{"data": [label]}`.

        Returns [] for a response of another form. A kind with another form overrides this method;
        else a store that ignores tenants is not detected.
        """
        try:
            found = json.loads(content)["data"]
        except (ValueError, LookupError, TypeError):
            return []
        return found if isinstance(found, list) else []


class MimirAdapter(TenantStoreAdapter):
    """Adapts a Mimir or a Cortex."""

    labels_path = "/prometheus/api/v1/labels"


class LokiAdapter(TenantStoreAdapter):
    """Adapts a Loki."""

    labels_path = "/loki/api/v1/labels"


class PyroscopeAdapter(TenantStoreAdapter):
    """Adapts a Pyroscope."""


class PrometheusAdapter(TenantStoreAdapter):
    """Adapts a store with Prometheus' HTTP API and tenants, such as Thanos."""

    ready_path = "/-/ready"
    labels_path = "/api/v1/labels"

    async def confinement_warning(self) -> str:
        """Returns a warning also if the store is Prometheus itself, which has no tenants.

        Prometheus is recognized by a path that only Prometheus serves. Raises UpstreamError.
        """
        if address := self._query_address():
            request = ProbeRequest("GET", _WAL_REPLAY_PATH)
            reply = await send_probe(self.upstream, address, request)
            if reply.status == 200:
                prefix = self._described(address)
                return f"{prefix} is Prometheus itself, which has no tenants: {_READS_ALL_TEXT}"
        return await super().confinement_warning()
