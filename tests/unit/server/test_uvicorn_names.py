"""The undocumented names of uvicorn that the server uses exist in the installed release."""

import asyncio
import inspect

from starlette.responses import PlainTextResponse
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState as UvicornState

from headgate_server.serving.server_state import ServerState
from headgate_server.serving.websocket_protocol import USED_NAMES, WebSocketConnection
from headgate_server.telemetry.metrics import Metrics
from support.places import REPOSITORY


def test_each_used_name_exists() -> None:
    async def names_by_owner() -> dict[type, set[str]]:
        protocol = WebSocketConnection(PlainTextResponse(), Metrics(), ServerState())
        return {
            WebSocketsSansIOProtocol: {*dir(WebSocketsSansIOProtocol), *vars(protocol)},
            UvicornState: {*vars(UvicornState())},
        }

    existing = asyncio.run(names_by_owner())
    assert USED_NAMES.keys() == existing.keys()
    for owner, names in USED_NAMES.items():
        assert existing[owner] >= set(names), owner


def test_the_protocol_is_made_from_the_same_arguments() -> None:
    parameters = list(inspect.signature(WebSocketsSansIOProtocol).parameters)
    assert parameters[:3] == ["config", "server_state", "app_state"]


def test_no_other_file_of_the_server_imports_uvicorn() -> None:
    files = (REPOSITORY / "server").rglob("*.py")
    importing = {path.name for path in files if "import uvicorn" in (text := path.read_text())
                 or "from uvicorn" in text}  # fmt: skip
    assert importing == {"websocket_protocol.py"}
