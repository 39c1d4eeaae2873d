"""Records what was sent of a response: its status and the size of its body."""

from starlette.types import Message, Send

# nginx's status for a disconnected client; for log and metrics only.
CLIENT_DISCONNECTED_STATUS = 499


class ResponseRecorder:
    """Wraps ASGI's *send*, and records a response's status and number of body bytes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = CLIENT_DISCONNECTED_STATUS
        self.size = 0

    async def __call__(self, message: Message) -> None:
        """Records the status or the number of body bytes in *message*, then sends it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)
