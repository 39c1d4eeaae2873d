"""The gateway: users and grants in front of stores that have none."""

from headgate_server.gateway.forwarding import Forwarding
from headgate_server.gateway.gateway import Gateway
from headgate_server.gateway.influx import Asked, InfluxStore, Nowhere
from headgate_server.gateway.line import Line
from headgate_server.gateway.mounted import Mounted, Store
from headgate_server.gateway.settings import (
    GatewaySettings,
    UpstreamSettings,
    read_gateway_settings,
)

__all__ = [
    "Asked",
    "Forwarding",
    "Gateway",
    "GatewaySettings",
    "InfluxStore",
    "Line",
    "Mounted",
    "Nowhere",
    "Store",
    "UpstreamSettings",
    "read_gateway_settings",
]
