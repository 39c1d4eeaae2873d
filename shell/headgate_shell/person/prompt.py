"""The prompt: keys, colours, completion, suggestions, the line at the bottom.

Knows prompt_toolkit, with colours.py, history.py and interactive.py beside it.
"""

import os
from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, completion_is_selected
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.utils import is_dumb_terminal

from headgate_shell.person.colours import InfluxqlLexer
from headgate_shell.person.entry import complete
from headgate_shell.person.names import Names
from headgate_shell.person.suggestions import suggestions
from headgate_shell.session import Session


class Suggestions(Completer):
    """The grammar's and the server's suggestions, for prompt_toolkit."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        for offer in suggestions(document.text_before_cursor, self._names):
            yield Completion(offer.text, -offer.length, display_meta=offer.kind)


def lines_prompt(
    session: Session, names: Names, history: History, last: Callable[[], float | None]
) -> "PromptSession[str]":
    """Asks for statements and commands; *last* is how long the last one took, in seconds."""
    return PromptSession(
        history=history,
        completer=Suggestions(names),
        complete_while_typing=True,
        lexer=InfluxqlLexer(colour=coloured()),
        auto_suggest=AutoSuggestFromHistory(),
        multiline=Condition(lambda: not complete(get_app().current_buffer.text)),
        prompt_continuation="... ",
        key_bindings=_keys(),
        bottom_toolbar=lambda: toolbar(session, names, last()),
        enable_open_in_editor=True,
        tempfile_suffix=".influxql",
        vi_mode=os.environ.get("HEADGATE_SHELL_KEYS", "") == "vi",
    )


def coloured() -> bool:
    """Whether the person wants colours, and the terminal has them."""
    return not os.environ.get("NO_COLOR") and not is_dumb_terminal()


def toolbar(session: Session, names: Names, seconds: float | None) -> str:
    """Who, where, and how: only what is known already, for it is drawn with each key."""
    who = session.username or ("a token" if session.token else "nobody")
    if session.store:
        who = "administrator"
    elif session.username in names.administrators:
        who += " (admin)"
    parts = [who, session.where, session.database or "no database", session.format]
    if seconds is not None:
        parts.append(f"{seconds:.3f} s")
    return " " + " · ".join(parts)


def prompt_text(session: Session) -> str:
    """`> `, or with the store's name where statements run on a file without any server."""
    return f"[{os.path.basename(session.store)}] > " if session.store else "> "


def _keys() -> KeyBindings:
    keys = KeyBindings()

    # Else Enter in the menu would run the line.
    @keys.add("enter", filter=completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
