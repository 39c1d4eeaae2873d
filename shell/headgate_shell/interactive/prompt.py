"""The prompt: key bindings, colours, completion, suggestions, and the toolbar.

Uses prompt_toolkit, like most of this package.
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

from headgate_shell.interactive.completion import suggestions
from headgate_shell.interactive.completion_names import Names
from headgate_shell.interactive.config import Config
from headgate_shell.interactive.key_bindings import complete
from headgate_shell.interactive.lexer import InfluxqlLexer
from headgate_shell.output.control_characters import visible, visible_lines
from headgate_shell.session import Session


class Suggestions(Completer):
    """Adapts `suggestions` to prompt_toolkit's completer interface."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yields the completions of the text before the cursor."""
        for offer in suggestions(document.text_before_cursor, self._names):
            yield Completion(
                offer.text, -offer.length, display=visible(offer.text), display_meta=offer.kind
            )


def lines_prompt(
    session: Session,
    names: Names,
    history: History,
    last: Callable[[], float | None],
    config: Config,
) -> "PromptSession[str]":
    """Returns the prompt for statements and commands.

    *last* returns the duration of the last one in seconds, or None.
    """
    return PromptSession(
        history=history,
        completer=Suggestions(names),
        complete_while_typing=True,
        lexer=InfluxqlLexer(config.style if coloured() else {}),
        auto_suggest=AutoSuggestFromHistory(),
        multiline=Condition(lambda: not complete(get_app().current_buffer.text)),
        prompt_continuation="... ",
        key_bindings=_keys(),
        bottom_toolbar=(lambda: toolbar(session, names, last())) if config.toolbar else None,
        enable_open_in_editor=True,
        tempfile_suffix=".influxql",
        vi_mode=config.keys == "vi",
    )


def open_editor() -> None:
    """Opens $VISUAL or $EDITOR with the current input; the edited text becomes the input."""
    get_app().current_buffer.open_in_editor()


def coloured() -> bool:
    """Returns whether NO_COLOR is unset and the terminal supports colours."""
    return not os.environ.get("NO_COLOR") and not is_dumb_terminal()


def toolbar(session: Session, names: Names, seconds: float | None) -> str:
    """Returns the text of the toolbar: user, server, database, format, and the last duration.

    Uses only values in memory, because it is drawn after each key.
    """
    connection = session.connection
    who = connection.username or ("a token" if connection.token else "not logged in")
    if session.store:
        who = "administrator"
    elif connection.username in names.administrators:
        who += " (admin)"
    parts = [who, session.where, session.database or "no database", session.format]
    if seconds is not None:
        parts.append(f"{seconds:.3f} s")
    return visible(" " + " · ".join(parts))


def prompt_text(session: Session, template: str) -> str:
    """Returns *template* with its fields filled in; with a store file, its name in front."""
    store = os.path.basename(session.store)
    text = template.format(
        user=session.connection.username,
        host=session.connection.host,
        port=session.connection.port,
        database=session.database,
        store=store,
    )
    return visible_lines(f"[{store}] {text}" if store else text)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    # Without this binding, Enter in the completion menu would run the line.
    @keys.add("enter", filter=completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
