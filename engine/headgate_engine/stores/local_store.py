"""The part of `Store` that only stores of several machines fill."""


class LocalStore:
    """What a store on this machine answers to questions about other machines."""

    def condition(self) -> None:
        """Returns None: reads are current."""

    def reload(self) -> None:
        """Does nothing: a store on this machine has no certificates."""

    def other_writers(self) -> int:
        """Returns 0: a change waits for no other machine."""
        return 0

    def login_delays(self) -> None:
        """Returns None: no other machine has delays."""
