"""A cache of parsed texts: clients send the same few texts repeatedly, or similar ones."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from headgate_grammar.ast.statements import Statement
from headgate_grammar.parsing.limits import Bounds
from headgate_grammar.parsing.parser import UNBOUNDED, Each, parse
from headgate_grammar.parsing.templates import Alike
from headgate_grammar.parsing.unparse import has_secret

_LONGEST_TEXT = 4096
_LONGEST_ALIKE = 256


class ParseCache:
    """A bounded cache of `parse` with *bounds*: call it as `cache(text)`.

    A text is cached unless it is long, has parameters, or may hold a password. A text that differs
    from a cached one only in its names is not parsed, either. At most *capacity* texts are kept;
    the least recently used is evicted. Thread-safe.
    """

    def __init__(self, capacity: int = 2048, bounds: Bounds = UNBOUNDED) -> None:
        self._bounds = bounds
        self._capacity = capacity
        self._known: OrderedDict[str, tuple[Statement, ...]] = OrderedDict()
        self._alike = Alike()
        self._lock = Lock()

    @property
    def longest(self) -> int:
        """The maximum length of a statement in characters; 0 is unlimited."""
        return self._bounds.length

    def known(self, text: str) -> tuple[Statement, ...] | None:
        """Returns the statements of *text* if it, or a text of the same template, is cached, else
        None.
        """
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
                return self._known[text]
        if len(text) > _LONGEST_ALIKE or 0 < self._bounds.length < len(text):
            return None
        statement = self._alike.statement(text)
        return (statement,) if statement is not None else None

    def __call__(
        self,
        text: str,
        parameters: Mapping[str, object] | None = None,
        each: Each | None = None,
    ) -> tuple[Statement, ...]:
        if parameters:
            return parse(text, parameters, self._bounds, each)
        known = self.known(text)
        if known is not None:
            if each is not None:
                for statement in known:
                    each(statement)
            return known
        statements = parse(text, None, self._bounds, each)
        if len(text) <= _LONGEST_TEXT and not any(map(has_secret, statements)):
            self._alike.learn(text, statements)
            with self._lock:
                self._known[text] = statements
                if len(self._known) > self._capacity:
                    self._known.popitem(last=False)
        return statements
