"""Parsing a text once: clients send the same few texts over and over."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from headgate_grammar.meter import Bounds
from headgate_grammar.parser import UNBOUNDED, parse
from headgate_grammar.statements import Statement
from headgate_grammar.users import CreateUser, SetPassword

_LONGEST_TEXT = 4096


class ParseCache:
    """`cache(text)` is `parse(text)` within *bounds*, remembered unless the text holds a password
    or is long, or there are parameters.

    At most *capacity* texts, the least recently used forgotten first. May be used from several
    threads.
    """

    def __init__(self, capacity: int = 2048, bounds: Bounds = UNBOUNDED) -> None:
        self._bounds = bounds
        self._capacity = capacity
        self._known: OrderedDict[str, tuple[Statement, ...]] = OrderedDict()
        self._lock = Lock()

    def known(self, text: str) -> tuple[Statement, ...] | None:
        """The statements of *text*, if they are remembered."""
        with self._lock:
            if text not in self._known:
                return None
            self._known.move_to_end(text)
            return self._known[text]

    def __call__(
        self, text: str, parameters: Mapping[str, object] | None = None
    ) -> tuple[Statement, ...]:
        if parameters:
            return parse(text, parameters, self._bounds)
        known = self.known(text)
        if known is not None:
            return known
        statements = parse(text, bounds=self._bounds)
        if len(text) <= _LONGEST_TEXT and not any(map(_secret, statements)):
            with self._lock:
                self._known[text] = statements
                if len(self._known) > self._capacity:
                    self._known.popitem(last=False)
        return statements


def _secret(statement: Statement) -> bool:
    return isinstance(statement, CreateUser | SetPassword)
