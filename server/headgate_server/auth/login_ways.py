"""The ways to log in that the settings switch on, beside passwords, keys, tokens and sessions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from headgate_engine import Engine
from headgate_server.auth.anonymous import AnonymousLogin
from headgate_server.auth.directory_login import DirectoryLogin
from headgate_server.auth.login_attempts import LoginAttempts
from headgate_server.auth.proxy_login import ProxyLogin
from headgate_server.config.settings import Settings
from headgate_server.telemetry.sign_in_metrics import SignInMetrics


@dataclass(slots=True)
class LoginWays:
    """Without *passwords*, a password is refused, and an API key in its place is accepted.

    *proxy*, *anonymous* and *directory* are None where the settings switch them off. *attempts*
    refuses names after wrong passwords.
    """

    passwords: bool = True
    proxy: ProxyLogin | None = None
    anonymous: AnonymousLogin | None = None
    directory: DirectoryLogin | None = None
    attempts: LoginAttempts = field(default_factory=lambda: LoginAttempts(0))

    def close(self) -> None:
        """Closes the connections to directories."""
        if self.directory is not None:
            self.directory.close()


def login_ways(
    settings: Settings,
    engine: Engine,
    run: Callable[[Callable[[], Any]], Awaitable[Any]],
    metrics: SignInMetrics,
) -> LoginWays:
    """Returns the ways of *settings*. *run* runs blocking work in a thread. Raises ValueError."""
    directory = None
    if settings.ldap.enabled:
        directory = DirectoryLogin(engine, settings, run, metrics.ldap)
    return LoginWays(
        settings.basic.enabled and not settings.disable_login,
        ProxyLogin(engine, settings, run) if settings.proxy.enabled else None,
        AnonymousLogin(engine, settings.anonymous) if settings.anonymous.enabled else None,
        directory,
        LoginAttempts(settings.max_login_attempts),
    )
