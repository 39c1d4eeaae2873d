"""The command `watch`: repeats a reading statement, such as SHOW QUERIES, until Ctrl-C."""

import re
import time

from headgate_shell.go_space import split_words, trim
from headgate_shell.output.render import render
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Terminal

_DEFAULT_SECONDS = 2.0
_READING_KEYWORDS = ("show", "select", "explain")
_INTO = re.compile(r"\binto\b", re.IGNORECASE)


def watch(line: str, session: Session, terminal: Terminal) -> None:
    """`watch [SECONDS] STATEMENT`: repeats a statement that only reads, until Ctrl-C.

    In a script, Ctrl-C raises KeyboardInterrupt.
    """
    seconds, statement = _parse_arguments(trim(line).removesuffix(";"))
    if not statement:
        raise CommandFailed("watch: expected a statement")
    # Checked without the grammar, which scripts do not load. The checks may reject a statement
    # that only reads, but never repeat a change.
    if ";" in statement:
        raise CommandFailed("watch: one statement only, without `;` in it")
    if split_words(statement)[0].lower() not in _READING_KEYWORDS or _INTO.search(statement):
        raise CommandFailed("watch: only SHOW, EXPLAIN, and SELECT without INTO")
    # Imported on demand: the grammar takes long to load.
    from headgate_shell.statements import redact

    title = f"every {seconds:g} s: {redact(statement)}"
    try:
        while True:
            text = render(session.query(statement), session, hint=False)
            terminal.write(f"{time.strftime('%H:%M:%S')}  {title}\n{text}\n")
            terminal.flush()
            time.sleep(seconds)
    except KeyboardInterrupt:
        if not terminal.interactive:
            raise
        terminal.write("\n")  # after the ^C that the terminal shows


def _parse_arguments(line: str) -> tuple[float, str]:
    words = split_words(line, 3)[1:]
    try:
        seconds = float(words[0]) if words else _DEFAULT_SECONDS
    except ValueError:
        return _DEFAULT_SECONDS, split_words(line, 2)[1]
    if not 0.1 <= seconds <= 86_400:
        raise CommandFailed("watch: expected 0.1 to 86400 seconds")
    return seconds, words[1] if len(words) > 1 else ""
