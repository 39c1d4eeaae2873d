"""A gateway to an InfluxDB whose answers a test sets."""

from support.raw_upstream import RawUpstream
from support.scripted_upstream import Script
from support.servers import Server


class ScriptedGateway:
    """A gateway, and the *script* with the responses of its upstream store."""

    def __init__(self, server: Server, store: RawUpstream) -> None:
        self.server, self._store = server, store
        self.script = Script()
        self.reset()

    def reset(self) -> Script:
        """Replaces the script by a new one, and returns it."""
        self.script = self._store.answer = Script()
        return self.script
