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
