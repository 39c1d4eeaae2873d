"""What a store reports of its work, for metrics."""


class StoreObserver:
    """Receives what a store does, and ignores it: a subclass overrides what it counts.

    The methods are called by any thread, and must not block.
    """

    def read(self, seconds: float) -> None:
        """A user was read from the storage, which took *seconds*."""

    def changed(self, seconds: float) -> None:
        """A change was made or refused, after *seconds*."""

    def audit_file_failed(self) -> None:
        """The audit file could not be written, so a change was refused."""

    def conflicted(self) -> None:
        """A change ran again, because the change of another process came first."""

    def left_unknown(self) -> None:
        """A change was given up without knowing whether it was made."""

    def reloaded(self) -> None:
        """All data was loaded again."""

    def aged(self, seconds: float) -> None:
        """The data was last proven current *seconds* ago. Called about twice a second."""

    def refollowed(self) -> None:
        """The connection on which changes arrive has ended, and is made again."""


class ForwardingObserver(StoreObserver):
    """Passes each call on to *target*, which may be set after the store was opened."""

    def __init__(self) -> None:
        self.target = StoreObserver()

    def read(self, seconds: float) -> None:
        """Passes it on."""
        self.target.read(seconds)

    def changed(self, seconds: float) -> None:
        """Passes it on."""
        self.target.changed(seconds)

    def audit_file_failed(self) -> None:
        """Passes it on."""
        self.target.audit_file_failed()

    def conflicted(self) -> None:
        """Passes it on."""
        self.target.conflicted()

    def left_unknown(self) -> None:
        """Passes it on."""
        self.target.left_unknown()

    def reloaded(self) -> None:
        """Passes it on."""
        self.target.reloaded()

    def aged(self, seconds: float) -> None:
        """Passes it on."""
        self.target.aged(seconds)

    def refollowed(self) -> None:
        """Passes it on."""
        self.target.refollowed()
