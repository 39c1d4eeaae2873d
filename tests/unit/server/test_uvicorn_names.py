"""The undocumented names of uvicorn that the server uses exist in the installed release."""

import inspect

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from headgate_server.serving.websocket_protocol import USED_NAMES
from support.places import REPOSITORY


def test_each_used_name_exists() -> None:
    for owner, names in USED_NAMES.items():
        instance = owner() if not inspect.signature(owner).parameters else owner
        for name in names:
            assert hasattr(instance, name), f"{owner.__name__}.{name}"


def test_the_protocol_is_made_from_the_same_arguments() -> None:
    parameters = list(inspect.signature(WebSocketsSansIOProtocol).parameters)
    assert parameters[:3] == ["config", "server_state", "app_state"]


def test_no_other_file_of_the_server_imports_uvicorn() -> None:
    files = (REPOSITORY / "server").rglob("*.py")
    importing = {path.name for path in files if "import uvicorn" in (text := path.read_text())
                 or "from uvicorn" in text}  # fmt: skip
    assert importing == {"websocket_protocol.py"}
