"""The sockets that a server listens on: TCP, and optionally a unix socket."""

import errno
import grp
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from headgate_server.config.settings import Settings

_BACKLOG_CONNECTIONS = 2048
_MAX_SOCKET_PATH_BYTES = 107  # on Linux


class ListenError(Exception):
    """The server cannot listen on an address: it is in use, or invalid."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """The listening sockets *tcp* and *unix*, which can be passed to worker processes."""

    tcp: socket.socket
    unix: socket.socket | None = None
    path: str = ""  # the unix socket's
    inherited: bool = False  # from systemd, which keeps them

    def addresses(self, scheme: str) -> str:
        """Returns the addresses as text for the log. *scheme* is `http` or `https`."""
        host, port = self.tcp.getsockname()[:2]
        text = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        return text if self.unix is None else f"{text} and {self.path}"

    @property
    def bind_address(self) -> str:
        """The address of the TCP socket, as the setting has it."""
        return _address_text(*self.tcp.getsockname()[:2])

    def console(self, scheme: str) -> str:
        """Returns the console's address, of this machine if there is one for each interface."""
        host, port = self.tcp.getsockname()[:2]
        if host in ("0.0.0.0", "::"):  # noqa: S104
            host = "localhost"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/console/"

    def close(self) -> None:
        """Closes the sockets, and removes the unix socket from its folder."""
        self.tcp.close()
        if self.unix is not None:
            self.unix.close()
            if self.inherited:
                return
            with suppress(FileNotFoundError):
                os.unlink(self.path)


def listen(settings: Settings, inherited: Sequence[socket.socket] = ()) -> Listeners:
    """Returns the listeners for *settings*, or those that are *inherited*. Raises ListenError.

    Inherited are one TCP socket, and at most one unix socket: their addresses replace those of
    *settings*.
    """
    if inherited:
        return _inherited(inherited)
    tcp = _listen_tcp(*settings.address())
    if not settings.unix_socket_enabled:
        return Listeners(tcp)
    try:
        return Listeners(tcp, _listen_unix(settings), settings.bind_socket)
    except ListenError:
        tcp.close()
        raise


def _inherited(sockets: Sequence[socket.socket]) -> Listeners:
    tcp = [one for one in sockets if one.family in (socket.AF_INET, socket.AF_INET6)]
    unix = [one for one in sockets if one.family == socket.AF_UNIX]
    stream = all(one.type == socket.SOCK_STREAM for one in sockets)
    if len(tcp) != 1 or len(unix) > 1 or len(tcp) + len(unix) != len(sockets) or not stream:
        raise ListenError(
            "cannot use the sockets of systemd: expected ListenStream once for TCP, and at most"
            " once for a path"
        )
    if not unix:
        return Listeners(tcp[0], inherited=True)
    name = unix[0].getsockname()
    path = name if isinstance(name, str) else f"@{name[1:].decode('utf-8', 'replace')}"
    return Listeners(tcp[0], unix[0], path, inherited=True)


def check_tcp(host: str, port: int) -> None:
    """Raises ListenError if `listen` could not bind *host* and *port*. Accepts no connections."""
    _bind_tcp(host, port).close()


def check_unix(settings: Settings) -> None:
    """Raises ListenError if `listen` could not create the unix socket. Changes nothing."""
    path = settings.bind_socket
    try:
        _is_stale_socket(path)
        folder = os.path.dirname(os.path.abspath(path))
        if not os.access(folder, os.W_OK | os.X_OK):
            number = errno.EACCES if os.path.isdir(folder) else errno.ENOENT
            raise OSError(number, os.strerror(number))
        if settings.unix_socket_group:
            group = grp.getgrnam(settings.unix_socket_group).gr_gid
            if os.geteuid() != 0 and group not in (os.getegid(), *os.getgroups()):
                raise OSError(
                    errno.EPERM, f"this user is not in group {settings.unix_socket_group}"
                )
    except (OSError, KeyError) as error:
        raise _listen_error(path, error) from None


def _listen_tcp(host: str, port: int) -> socket.socket:
    listener = _bind_tcp(host, port)
    try:
        listener.listen(_BACKLOG_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise _listen_error(_address_text(host, port), error) from None
    return listener


def _bind_tcp(host: str, port: int) -> socket.socket:
    """Returns a bound socket that does not listen yet. Raises ListenError."""
    both = not host and socket.has_dualstack_ipv6()
    listener = socket.socket(socket.AF_INET6 if both or ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _listen_error(_address_text(host, port), error) from None
    return listener


def _address_text(host: str, port: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def _listen_error(where: str, error: OSError | KeyError) -> ListenError:
    reason = error.strerror or str(error) if isinstance(error, OSError) else "no such group"
    return ListenError(f"cannot listen on {where}: {reason}")


def _listen_unix(settings: Settings) -> socket.socket:
    path = settings.bind_socket
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_stale_socket(path):
            os.unlink(path)
        # Only the owner may connect until the mode is set: the process's umask may allow others.
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        if settings.unix_socket_group:
            os.chown(path, -1, grp.getgrnam(settings.unix_socket_group).gr_gid)
        os.chmod(path, int(settings.unix_socket_permissions, 8))
        listener.listen(_BACKLOG_CONNECTIONS)
    except (OSError, KeyError) as error:
        listener.close()
        raise _listen_error(path, error) from None
    return listener


def _is_stale_socket(path: str) -> bool:
    """Returns whether *path* is a socket that a killed server has left behind.

    Raises OSError if *path* is another kind of file or too long, or if a server listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            if not stat.S_ISSOCK(os.stat(path).st_mode):
                raise OSError(0, "there is a file of that name")
            probe.connect(path)
        except FileNotFoundError:
            # The system reports a path that is too long in the same way.
            if len(os.fsencode(path)) > _MAX_SOCKET_PATH_BYTES:
                raise OSError(errno.ENAMETOOLONG, "AF_UNIX path too long") from None
            return False
        except ConnectionRefusedError:
            return True
    raise OSError(0, "a server is listening there already")
