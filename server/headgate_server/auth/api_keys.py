"""Authenticates requests by API key."""

from headgate_engine import Engine, KeyRejected, Principal
from headgate_server.auth.credentials import KeyText
from headgate_server.auth.throttle import Throttle
from headgate_server.telemetry.metrics import Metrics


class KeyAuthenticator:
    """Verifies API keys. *throttle* counts the failures by keys of an address.

    A valid key never waits. Failures by keys delay no password: a program with a revoked key may
    have its address in common with people.
    """

    def __init__(self, engine: Engine, metrics: Metrics, throttle: Throttle) -> None:
        self._engine = engine
        self._metrics = metrics
        self._throttle = throttle

    def check(self, key: KeyText) -> Principal:
        """Returns the principal of *key*. Raises AuthenticationFailed. Counts nothing."""
        return self._engine.api_keys.authenticate_hash(key.hash, key.username)

    def authenticate(self, key: KeyText, address: str) -> Principal:
        """Returns the principal of *key*.

        Raises AuthenticationFailed, and TooManyFailures after many failures from *address*. A
        malformed key counts as no failure: it costs no look-up, and can be no key.
        """
        try:
            principal = self.check(key)
        except KeyRejected as error:
            if error.code != "malformed":
                self._metrics.key_lookup(error.code)
                self._throttle.count_failure(address)
            raise
        self._metrics.key_lookup("good")
        return principal
