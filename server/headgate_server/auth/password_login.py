"""Authenticates a name and a password: by our own password, or by that of a directory."""

import asyncio
from collections.abc import Awaitable, Callable

from headgate_engine import AuthenticationFailed, Principal
from headgate_server.auth.credentials import Password, RequestCredentials
from headgate_server.auth.directory_login import DirectoryLogin
from headgate_server.auth.errors import Unauthenticated
from headgate_server.auth.login_attempts import LoginAttempts
from headgate_server.auth.login_ways import LoginWays
from headgate_server.auth.password import PasswordAuthenticator
from headgate_server.auth.throttle import Throttle
from headgate_server.http.eager_batch import enter_task


async def authenticate_password(
    shown: Password,
    address: str,
    request: RequestCredentials,
    ways: LoginWays,
    passwords: PasswordAuthenticator,
    throttle: Throttle,
) -> Principal:
    """Returns the principal of *shown*, which came from *address* with *request*.

    *passwords* verifies our own passwords. *throttle* delays guesses of both kinds. Raises what
    `PasswordAuthenticator.authenticate` raises, Unauthenticated where passwords are switched off,
    and DirectoryUnavailable.
    """
    if not ways.passwords:
        raise Unauthenticated("password login is disabled here")
    directory = ways.directory
    asks = directory is not None and (request.is_sign_in or directory.settings.basic)

    async def authenticate() -> Principal:
        if directory is None or not asks or not directory.is_asked(shown.name):
            return await passwords.authenticate(shown, address)
        return await _by_directory(directory, shown, address, request, throttle)

    if not ways.attempts.is_limited:
        return await authenticate()
    # A client that disconnects does not end the attempt: it counts all the same.
    task = asyncio.ensure_future(_counted(ways.attempts, shown.name, authenticate))
    task.add_done_callback(_retrieve)
    return await asyncio.shield(task)


async def _counted(
    attempts: LoginAttempts, name: str, authenticate: Callable[[], Awaitable[Principal]]
) -> Principal:
    async with attempts.attempt(name):
        return await authenticate()


def _retrieve(done: "asyncio.Task[Principal]") -> None:
    if not done.cancelled():
        done.exception()  # if no caller waits any more, asyncio would log the exception


async def _by_directory(
    directory: DirectoryLogin,
    shown: Password,
    address: str,
    request: RequestCredentials,
    throttle: Throttle,
) -> Principal:
    if not request.is_sign_in and (known := directory.remembered(shown.name, shown.password)):
        return known
    throttle.start_attempt(shown.name, address)
    await enter_task()
    try:
        found = await directory.authenticate(shown.name, shown.password, address)
    except AuthenticationFailed:
        throttle.fail_attempt(shown.name, address)
        raise
    except BaseException:
        throttle.cancel_attempt(shown.name, address)
        raise
    throttle.complete_attempt(shown.name, address)
    principal, request.origin = found
    return principal
