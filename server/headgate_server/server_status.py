"""The state of this server process that /health tells, and what makes it reload."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class ServerStatus:
    """What a process knows of itself.

    *reload_error* is the error of the last reload, because of which the former settings stay in
    effect. *is_stopping*: the server ends soon, and still answers. *reload* makes each process of
    the server reload its configuration; it may raise ConfigurationError.
    """

    reload: Callable[[], None]

    reload_error: str = ""
    is_stopping: bool = False
