"""The sockets that a server listens on: TCP, and perhaps a unix socket."""

import grp
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass

from headgate_server.settings import Settings

_BACKLOG = 2048


class CannotListen(Exception):
    """The address is taken, or is none."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound and listening; both can be handed to another process."""

    tcp: socket.socket
    unix: socket.socket | None = None
    path: str = ""  # the unix socket's

    def where(self, scheme: str) -> str:
        """The addresses, for people."""
        host, port = self.tcp.getsockname()[:2]
        text = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        return text if self.unix is None else f"{text} and {self.path}"

    def close(self) -> None:
        """Ends listening, and removes the unix socket from its folder."""
        self.tcp.close()
        if self.unix is not None:
            self.unix.close()
            with suppress(FileNotFoundError):
                os.unlink(self.path)


def listen(settings: Settings) -> Listeners:
    """The listeners that *settings* ask for. Raises CannotListen."""
    tcp = _tcp(*settings.address())
    if not settings.unix_socket_enabled:
        return Listeners(tcp)
    try:
        return Listeners(tcp, _unix(settings), settings.bind_socket)
    except CannotListen:
        tcp.close()
        raise


def _tcp(host: str, port: int) -> socket.socket:
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        where = f"{f'[{host}]' if ':' in host else host}:{port}"
        raise CannotListen(f"cannot listen on {where}: {error.strerror}") from None


def _unix(settings: Settings) -> socket.socket:
    path = settings.bind_socket
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        # For nobody else, until it has its mode: the process's mask would let others in.
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        if settings.unix_socket_group:
            os.chown(path, -1, grp.getgrnam(settings.unix_socket_group).gr_gid)
        os.chmod(path, int(settings.unix_socket_permissions, 8))
        listener.listen(_BACKLOG)
    except (OSError, KeyError) as error:
        listener.close()
        reason = error.strerror or str(error) if isinstance(error, OSError) else "no such group"
        raise CannotListen(f"cannot listen on {path}: {reason}") from None
    return listener


def _clear(path: str) -> None:
    """Removes the socket that a killed server left. Raises OSError if it is not that."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(0, "there is a file of that name")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(0, "a server is listening there already")
