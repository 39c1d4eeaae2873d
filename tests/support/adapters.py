"""Adapters of upstream stores without metrics, tracing and threads."""

from collections.abc import Callable
from typing import TypeVar

from headgate_server.config.gateway import UpstreamSettings
from headgate_server.telemetry.tracing import NoTracing
from headgate_server.upstream.adapter import UpstreamAdapter
from headgate_server.upstream.adapters import check_upstream_settings, create_adapter

T = TypeVar("T")


class NoMetrics:
    """Counts nothing."""

    def upstream(self, name: str, component: str, outcome: str, seconds: float) -> None:
        """Does nothing."""

    def upstream_open(self, name: str, change: int) -> None:
        """Does nothing."""


async def run_inline(work: Callable[[], T]) -> T:
    return work()


def adapter(settings: UpstreamSettings) -> UpstreamAdapter:
    """Returns the adapter for *settings*, which are valid."""
    check_upstream_settings(settings)
    return create_adapter(settings, NoMetrics(), NoTracing(), run_inline, quiet=True)
