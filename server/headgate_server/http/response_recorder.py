"""What was sent of a response: its status and the size of its body."""

from starlette.types import Message, Send

# nginx's status for a disconnected client; for log and metrics only.
CLIENT_DISCONNECTED_STATUS = 499


class ResponseRecorder:
    """ASGI `send` that records the status and the number of body bytes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = CLIENT_DISCONNECTED_STATUS
        self.size = 0

    async def __call__(self, message: Message) -> None:
        """Sends *message*, and records its status or size."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)
