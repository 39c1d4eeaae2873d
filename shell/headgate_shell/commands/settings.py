"""The commands `format`, `precision`, `chunked`, `pager` and others: options of the session."""

import re

from headgate_shell.go_quote import go_quote
from headgate_shell.go_space import arguments, split_words, trim
from headgate_shell.session import Session
from headgate_shell.terminal import Terminal

PRECISIONS = ("rfc3339", "h", "m", "s", "ms", "u", "ns")
# In a script the command `format` accepts only influx's three formats. The flag `-format` accepts
# all formats.
SCRIPT_FORMATS = ("json", "csv", "column")
FORMATS = (*SCRIPT_FORMATS, "table", "vertical", "markdown")
CONSISTENCIES = ("any", "one", "quorum", "all")


def _argument(line: str) -> str:
    return arguments(line).lower()


def format(line: str, session: Session, terminal: Terminal) -> None:
    """`format NAME`: sets the output format."""
    format = _argument(line)
    if format in (FORMATS if terminal.interactive else SCRIPT_FORMATS):
        session.format = format
    else:
        terminal.write(f"Unknown format {go_quote(format)}. Please use json, csv, or column.\n")


def set_precision(precision: str, session: Session, terminal: Terminal) -> None:
    """Sets the unit of times, or writes an error if *precision* is not a unit."""
    if precision in PRECISIONS:
        session.precision = precision
    else:
        terminal.write(
            f"Unknown precision {go_quote(precision)}. Please use rfc3339, h, m, s, ms, u or ns.\n"
        )


def precision(line: str, session: Session, terminal: Terminal) -> None:
    """`precision UNIT`: sets the unit of times."""
    set_precision(_argument(line), session, terminal)


def consistency(line: str, session: Session, terminal: Terminal) -> None:
    """`consistency LEVEL`: sets the consistency level of writes."""
    level = _argument(line)
    if level in CONSISTENCIES:
        session.consistency = level
    else:
        terminal.write(
            f"Unknown consistency level {go_quote(level)}. Please use any, one, quorum, or all.\n"
        )


def chunked(line: str, session: Session, terminal: Terminal) -> None:
    """`chunked`: switches chunked responses on or off."""
    session.chunked = not session.chunked
    # "reponses" is influx's spelling.
    terminal.write(f"chunked {'responses enabled' if session.chunked else 'reponses disabled'}\n")


def chunk(line: str, session: Session, terminal: Terminal) -> None:
    """`chunk size N`, or `chunk N`: sets the rows per chunk; 0 is the server's default."""
    text = split_words(trim(line).removesuffix(";"))[-1].lower()
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text) is None:
        terminal.write(f"unable to parse chunk size from {go_quote(text)}\n")
        return
    session.chunk_size = max(0, int(text))
    terminal.write(f"chunk size set to {session.chunk_size}\n")


def node(line: str, session: Session, terminal: Terminal) -> None:
    """`node N`, or `node clear`: sets the node of a cluster that executes requests."""
    # influx splits words at spaces only here.
    words = trim(line).removesuffix(";").split(" ")[1:]
    if len(words) != 1:
        terminal.write("Improper number of arguments for 'node' command, requires exactly one.\n")
    elif words[0].lower() == "clear":
        session.node = 0
    elif words[0].isascii() and words[0].isdigit() and len(words[0]) < 20:
        session.node = int(words[0])
    else:
        terminal.write(f"Unable to parse node id from {words[0]}. Must be an integer or 'clear'.\n")


def timing(line: str, session: Session, terminal: Terminal) -> None:
    """`timing`: switches the output of durations on or off."""
    session.show_timing = not session.show_timing
    terminal.write(f"Timing {'enabled' if session.show_timing else 'disabled'}\n")


def pager(line: str, session: Session, terminal: Terminal) -> None:
    """`pager`: switches the pager on or off."""
    session.use_pager = not session.use_pager
    terminal.write(f"Pager {'enabled' if session.use_pager else 'disabled'}\n")


def pretty(line: str, session: Session, terminal: Terminal) -> None:
    """`pretty`: switches indented JSON on or off."""
    session.pretty = not session.pretty
    terminal.write(f"Pretty print {'enabled' if session.pretty else 'disabled'}\n")


def settings(line: str, session: Session, terminal: Terminal) -> None:
    """`settings`: lists the options of the session with their values."""
    rows = {
        "Setting": "Value",
        "--------": "--------",
        "URL": session.connection.url,
        "Username": session.connection.username,
        "Database": session.database,
        "RetentionPolicy": session.retention_policy,
        "Pretty": str(session.pretty).lower(),
        "Format": session.format,
        "Write Consistency": session.consistency,
        "Chunked": str(session.chunked).lower(),
        "Chunk Size": str(session.chunk_size),
    }
    terminal.write("".join(f"{name:<18}{value}\n" for name, value in rows.items()) + "\n")
