"""The Protocol `UpstreamAdapter`: what differs between the kinds of upstream stores.

An adapter has one or both of two parts: `InfluxQLStore`, for requests in InfluxQL and line
protocol, and `ProxiedAPI`, for requests to the store's own HTTP API.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

from headgate_engine import Result
from headgate_grammar import Statement
from headgate_server.background.thread_pool import Run
from headgate_server.config.gateway import UpstreamSettings
from headgate_server.config.route import Route
from headgate_server.formats import ResultEncoder
from headgate_server.http.request import Request
from headgate_server.http.response import Response
from headgate_server.upstream.connection_pool import UpstreamResponse
from headgate_server.upstream.influxql import ByteCounter, QueryOptions, ignore_bytes
from headgate_server.upstream.label_rewriting import LabelRenamer
from headgate_server.upstream.line_protocol import WriteTarget
from headgate_server.upstream.upstream import Upstream


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """The request of a health check. *target* is the path and query; *body* is a form, or None."""

    method: str
    target: str
    body: bytes | None = None


class BodyHandling(Enum):
    """What Headgate does with the body of a request to the store's own API."""

    FORWARD = "forward"
    # The body must be a form. `ProxiedAPI.rewrite_form` removes what names a database.
    REWRITE_FORM = "rewrite form"
    # A client's own labels are renamed, because Headgate sets these labels.
    REWRITE_LABELS = "rewrite labels"


class InfluxQLStore(Protocol):
    """A store with databases, which requests in InfluxQL and line protocol can name.

    `supports_influxql` is False if the store has no InfluxQL. Then Headgate executes a few
    statements without InfluxQL, and rejects the others.
    `serves_prometheus_remote` says whether the store has InfluxDB 1.x's paths for Prometheus'
    remote write and read.
    """

    supports_influxql: bool
    serves_prometheus_remote: bool

    def is_local(self, statement: Statement) -> bool:
        """Returns whether Headgate executes *statement* itself, without the upstream store."""
        ...

    def verified_text(self, statement: Statement) -> str:
        """Returns the text of *statement*, verified by parsing it again.

        Thread-safe. Blocks while the text is parsed. Raises UnparseError if the text parses as
        another statement or is invalid.
        """
        ...

    async def send_statement(
        self, statement: Statement, options: QueryOptions, *, chunked: bool
    ) -> UpstreamResponse:
        """Sends *statement* and returns the response as soon as its head has arrived.

        Raises UpstreamRejected, UpstreamError, UnparseError, Overloaded; ComponentNotConfigured if
        `supports_influxql` is False.
        """
        ...

    async def execute(
        self, statement: Statement, options: QueryOptions, count_bytes: ByteCounter = ignore_bytes
    ) -> Result:
        """Executes *statement*, and returns its decoded result.

        *count_bytes* is called with the size of each chunk of the answer. Raises UpstreamRejected,
        UpstreamError, UnparseError, Overloaded.
        """
        ...

    async def databases(self) -> list[str]:
        """Returns the names of the store's databases. Raises UpstreamRejected, UpstreamError."""
        ...

    @property
    def recorded_name(self) -> str:
        """The name by which the user store records that this store had no data of a database.

        It is "" if nothing has to be recorded.
        """
        ...

    async def has_data(self, name: str) -> bool:
        """Returns whether the store may have data of the database *name*.

        Raises UpstreamRejected, UpstreamError.
        """
        ...

    async def drop_refusal(self, name: str, *, exclusive: bool) -> str:
        """Returns why DROP DATABASE *name* must not be executed, or "".

        *exclusive* is whether the store had no data of the database when it was created. Raises
        UpstreamRejected, UpstreamError.
        """
        ...

    async def write(
        self, request: Request, write_target: WriteTarget, max_bytes: int, encoder: ResultEncoder
    ) -> Response:
        """Forwards an authorized write of line protocol of at most *max_bytes* bytes (0: no limit).

        *write_target* names the database. Returns 204 when the store has acknowledged the write;
        *encoder* sets the Content-Type of this response. Raises what `write_lines` raises.
        """
        ...


class ProxiedAPI(Protocol):
    """A store's own HTTP API, which Headgate proxies by a route table.

    A *tenant* is the store's name for databases. `serves_several_databases` says whether one
    request can read several databases. `has_tenant_header` says whether X-Scope-OrgID names the
    tenant. If not, only `upstream_target` confines a request to its database.
    """

    serves_several_databases: bool
    has_tenant_header: bool

    @property
    def label_renamer(self) -> LabelRenamer:
        """Renames a client's own labels in bodies with the handling REWRITE_LABELS."""
        ...

    def split_databases(self, path: str, query: bytes) -> tuple[str, list[str]]:
        """Returns *path* in the form of the route table, and the databases that the request names.

        The request names databases in *path*, in *query*, or in both.
        """
        ...

    def tenant(self, databases: Sequence[str]) -> str:
        """Returns the tenant for *databases*; "" if the store has no tenants.

        Raises BadRequest if *databases* have no valid tenant.
        """
        ...

    def upstream_target(
        self, route: Route, path: str, query: bytes, databases: Sequence[str], tenant: str
    ) -> str:
        """Returns the path and query to send, confined to *databases*, without user credentials.

        *path* is the path that `split_databases` returned. *tenant* is the tenant for *databases*.
        """
        ...

    def body_handling(self, route: Route, tenant: str) -> BodyHandling:
        """Returns what to do with the body of a request for *route* on *tenant*."""
        ...

    def rewrite_form(self, form: bytes) -> bytes:
        """Returns *form* without parameters that name a database: the URL names it."""
        ...

    def content_type(self, route: Route, content_type: str) -> str:
        """Returns the Content-Type to send with a body; *content_type* is the client's, or ""."""
        ...


class UpstreamAdapter(Protocol):
    """One kind of upstream store. `headgate_server.upstream.adapters` lists the kinds.

    An adapter without `proxied_api` has no route table; the others have one, in
    `gateway/routes/<protocol>.toml`.
    """

    # The scheme of the header `Authorization` for the option `token`.
    authorization_scheme: ClassVar[str]

    def __init__(self, upstream: Upstream, run: Run) -> None:
        """Adapts *upstream*. *run* runs blocking work in a thread."""
        ...

    @classmethod
    def check_settings(cls, settings: UpstreamSettings) -> None:
        """Raises ValueError for an option that this kind of store does not support.

        The error's text is one line, which names the option.
        """
        ...

    @property
    def upstream(self) -> Upstream:
        """The object that sends requests to the addresses of the store."""
        ...

    @property
    def influxql(self) -> InfluxQLStore | None:
        """The part for InfluxQL and line protocol, or None."""
        ...

    @property
    def proxied_api(self) -> ProxiedAPI | None:
        """The part for the store's own HTTP API, or None."""
        ...

    def probe_request(self) -> ProbeRequest:
        """Returns a request that a healthy store answers, and that verifies Headgate's login."""
        ...

    async def protocol_mismatch(self, address: str) -> str:
        """Returns why *address* does not serve the configured protocol, or "" if it does.

        Raises UpstreamError.
        """
        ...

    async def confinement_warning(self) -> str:
        """Returns a warning if the store returns the same data for every database, else "".

        Raises UpstreamError.
        """
        ...
