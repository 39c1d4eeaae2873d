"""The configured providers, and the sign-ins that are on their way."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from itertools import islice

from headgate_engine import Engine
from headgate_grammar import GenerationalCache
from headgate_server.auth.oauth.errors import NotBegunHere
from headgate_server.auth.oauth.login_flow import (
    COOKIE_PREFIX,
    FLOW_SECONDS,
    LoginFlow,
    Purpose,
    new_flow,
    opened_flow,
)
from headgate_server.auth.oauth.provider import OAuthProvider
from headgate_server.auth.oauth.sign_in import ProviderSignIn, Run
from headgate_server.auth.sealing import Sealer
from headgate_server.config.settings import Settings

_MAX_USED_STATES = 10_000
_MAX_FLOWS = 4
_MAX_LOGOUTS_PER_SECOND = 20
_RETIREMENT_SECONDS = 60.0


class ProviderRegistry:
    """The enabled providers of *settings*.

    After a reload, *previous* is the registry before it: states that were used there stay used.
    Raises ValueError for an invalid setting: one line that names the option.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        run: Run,
        previous: "ProviderRegistry | None" = None,
    ) -> None:
        self.sealer = Sealer(settings.sealing_key_file())
        self._by_name: dict[str, ProviderSignIn] = {}
        for one in settings.oauth:
            if one.enabled:
                callback = f"{settings.base_url.rstrip('/')}/login/{one.name}/callback"
                provider = OAuthProvider(one, callback)
                self._by_name[one.name] = ProviderSignIn(
                    provider, settings, engine, self.sealer, run
                )
        self._used: GenerationalCache[bytes, bool] = GenerationalCache(
            _MAX_USED_STATES, float(FLOW_SECONDS)
        )
        if previous is not None:
            self._used = previous._used
        self._logout_second = self._logouts = 0
        self._auto_login = [
            one.name
            for one in settings.oauth
            if one.enabled and (one.auto_login or settings.oauth_auto_login)
        ]

    def get(self, name: str) -> ProviderSignIn | None:
        """Returns the provider *name*, or None."""
        return self._by_name.get(name)

    @property
    def auto_login(self) -> str:
        """The provider that the sign-in page leads to at once; "" if none or several are so."""
        return self._auto_login[0] if len(self._auto_login) == 1 else ""

    async def begin(
        self,
        sign_in: ProviderSignIn,
        redirect: str,
        purpose: Purpose = "login",
        session_id: str = "",
    ) -> tuple[LoginFlow, str]:
        """Begins a sign-in. Returns its flow, and the URL at the provider.

        *redirect* is the path that follows. Raises ProviderUnavailable.
        """
        flow = new_flow(sign_in.settings.name, redirect, purpose, session_id)
        return flow, await sign_in.provider.authorization_url(flow)

    def flow_of_callback(self, name: str, state: str, values: Iterable[str]) -> LoginFlow:
        """Returns the flow of the callback with *state* of the provider *name*.

        *values* are those of the cookies with the flow's name: a browser may have one of another
        path or domain, too. Each state is valid once. Raises NotBegunHere, and OSError if the file
        of keys cannot be used.
        """
        digest = hashlib.sha256(state.encode("utf-8", "surrogatepass")).digest()
        for value in islice(values, _MAX_FLOWS * 2):
            flow = opened_flow(value, self.sealer)
            if flow is None or flow.provider != name:
                continue
            if not _same(flow.state, state):
                continue
            if self._used.get(digest):
                raise NotBegunHere("callback: its state was used before")
            self._used.put(digest, True)
            return flow
        raise NotBegunHere("callback: no cookie of this sign-in")

    def admits_logout(self) -> bool:
        """Counts a logout by a provider; returns False beyond 20 in a second."""
        second = int(time.monotonic())
        if second != self._logout_second:
            self._logout_second, self._logouts = second, 0
        self._logouts += 1
        return self._logouts <= _MAX_LOGOUTS_PER_SECOND

    @staticmethod
    def superfluous(cookies: Mapping[str, str]) -> list[str]:
        """Returns the names of the cookies to delete, so that one more flow has room."""
        flows = [name for name in cookies if name.startswith(COOKIE_PREFIX)]
        return flows[: max(0, len(flows) - _MAX_FLOWS + 1)]

    async def retire(self) -> None:
        """Closes the connections once the sign-ins that use them have had their time."""
        try:
            await asyncio.sleep(_RETIREMENT_SECONDS)
        finally:  # also if the process stops
            await self.close()

    async def close(self) -> None:
        """Closes the connections to all providers."""
        for one in self._by_name.values():
            await one.provider.close()


def _same(one: str, other: str) -> bool:
    """Returns whether the texts are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
