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

from headgate_shell.interactive.completion import complete_input
from headgate_shell.interactive.completion_names import CompletionNames
from headgate_shell.interactive.key_bindings import is_complete
from headgate_shell.interactive.lexer import InfluxqlLexer
from headgate_shell.interactive.shell_settings import Config
from headgate_shell.output.control_characters import escape_controls, escape_controls_in_lines
from headgate_shell.session import Session


class ShellCompleter(Completer):
    """Adapts `complete_input` to prompt_toolkit's completer interface."""

    def __init__(self, names: CompletionNames) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yields the completions of the text before the cursor."""
        for offer in complete_input(document.text_before_cursor, self._names):
            yield Completion(
                offer.text,
                -offer.length,
                display=escape_controls(offer.text),
                display_meta=offer.kind,
            )


def build_prompt(
    session: Session,
    names: CompletionNames,
    history: History,
    last_seconds: Callable[[], float | None],
    config: Config,
) -> "PromptSession[str]":
    """Returns the prompt for statements and commands.

    *last_seconds* returns the duration of the last statement or command in seconds, or None before
    the first.
    """
    return PromptSession(
        history=history,
        completer=ShellCompleter(names),
        complete_while_typing=True,
        lexer=InfluxqlLexer(config.style if colours_enabled() else {}),
        auto_suggest=AutoSuggestFromHistory(),
        multiline=Condition(lambda: not is_complete(get_app().current_buffer.text)),
        prompt_continuation="... ",
        key_bindings=_key_bindings(),
        bottom_toolbar=(lambda: toolbar(session, names, last_seconds()))
        if config.toolbar
        else None,
        enable_open_in_editor=True,
        tempfile_suffix=".influxql",
        vi_mode=config.keys == "vi",
    )


def open_editor() -> None:
    """Opens $VISUAL or $EDITOR with the current input; the edited text becomes the input."""
    get_app().current_buffer.open_in_editor()


def colours_enabled() -> bool:
    """Returns whether NO_COLOR is unset and the terminal supports colours."""
    return not os.environ.get("NO_COLOR") and not is_dumb_terminal()


def toolbar(session: Session, names: CompletionNames, seconds: float | None) -> str:
    """Returns the text of the toolbar: user, server, database, format, and the last duration.

    Uses only values in memory, because it is drawn after each key.
    """
    connection = session.connection
    user = connection.username or ("a token" if connection.token else "not logged in")
    if (login := connection.current_session) is not None:
        user = login.user
    if session.store_path:
        user = "administrator"
    elif connection.username in names.administrators:
        user += " (admin)"
    parts = [user, session.display_name, session.database or "no database", session.format]
    if seconds is not None:
        parts.append(f"{seconds:.3f} s")
    return escape_controls(" " + " · ".join(parts))


def prompt_text(session: Session, template: str) -> str:
    """Returns *template*, the prompt, with values of *session* for fields such as `{user}`.

    If the shell runs on a store file, the file's name in brackets comes first.
    """
    store = os.path.basename(session.store_path)
    text = template.format(
        user=session.connection.username,
        host=session.connection.host,
        port=session.connection.port,
        database=session.database,
        store=store,
    )
    return escape_controls_in_lines(f"[{store}] {text}" if store else text)


def _key_bindings() -> KeyBindings:
    keys = KeyBindings()

    # Without this binding, Enter in the completion menu would run the line.
    @keys.add("enter", filter=completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
