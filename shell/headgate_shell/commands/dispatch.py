"""The shell's own commands: everything that is not sent to the server as it is."""

from collections.abc import Callable

from headgate_shell.commands import context, insert, settings, watch
from headgate_shell.commands import login as access
from headgate_shell.go_space import arguments, fields
from headgate_shell.output.render import shown
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Leave, Terminal

HELP = """\
Commands:
  auth [<user> <password>]   log in as somebody else; asks for what is not given
  connect [<host>[:<port>]]  go to another server, or see whether this one is there
  use <database>[.<policy>]  set the database, and the retention policy, of what follows
  clear database|db          forget the database; clear retention policy|rp: only the policy
  format <format>            column, csv, json, table, vertical or markdown
  pretty                     indent JSON, or stop it
  precision <unit>           how times are shown: rfc3339, h, m, s, ms, u or ns
  insert [into <database>.<policy>] <point>
                             write a line of data
  consistency <level>        of what is written: any, one, quorum or all
  chunked, chunk size <n>    answers in pieces, or whole; rows of a piece, 0 for the server's own
  node <number>|clear        ask that node of a cluster
  history [<n>]              what was typed before
  \\e [<text>]                write the statement in $EDITOR: the last one, or that text
  watch [<seconds>] <statement>
                             ask again and again, until Ctrl-C
  timing, pager              show how long it took; page through what is longer than the screen
  \\l, \\du [<user>]          databases; users, or the grants of one
  \\password [<user>]         a new password, asked for twice
  settings                   show what is set
  help, \\?                   this text
  exit, quit, \\q, Ctrl-D     leave

Everything else is InfluxQL and goes to the server, for instance:
  CREATE USER todd WITH PASSWORD 'secret'
  GRANT READ ON telegraf TO todd
  SHOW GRANTS FOR todd
"""


def is_command(line: str) -> bool:
    """Whether *line* is one of the shell's own commands."""
    return _word(line) in COMMANDS


def run_command(line: str, session: Session, terminal: Terminal) -> None:
    """Does what *line* says. Raises Leave, CommandFailed and CannotReach."""
    COMMANDS[_word(line)](line, session, terminal)


def _word(line: str) -> str:
    words = fields(line, 2)
    return words[0].rstrip(";").lower() if words else ""


def _help(line: str, session: Session, terminal: Terminal) -> None:
    terminal.write(HELP)


def _history(line: str, session: Session, terminal: Terminal) -> None:
    words = fields(arguments(line))
    lines = terminal.history()
    if words and words[0].isascii() and words[0].isdigit() and len(words[0]) < 10:
        lines = lines[max(0, len(lines) - int(words[0])) :]
    terminal.write("".join(f"{text}\n" for text in lines))


def _edit(line: str, session: Session, terminal: Terminal) -> None:
    """`\\e [TEXT]`: the text, or the last statement, in $EDITOR; then at the prompt."""
    if terminal.edit is None:
        raise CommandFailed("\\e: no terminal to edit on")
    text = fields(line, 2)[1:]
    terminal.edit(text[0] if text else "")


def _ask(statement: str) -> Callable[[str, Session, Terminal], None]:
    def ask(line: str, session: Session, terminal: Terminal) -> None:
        terminal.write(shown(session.query(statement), session, hint=False))

    return ask


def _users(line: str, session: Session, terminal: Terminal) -> None:
    """`\\du`: all users; `\\du NAME`: the grants of one."""
    if name := arguments(line):
        # Only here, for the grammar takes its time to load.
        from headgate_shell.statements import show_grants

        response = session.query(show_grants(name))
        for result in response.results:
            if "error" in result:
                result["error"] = access.with_name(str(result["error"]), name)
    else:
        response = session.query("SHOW USERS")
    terminal.write(shown(response, session, hint=False))


def _leave(line: str, session: Session, terminal: Terminal) -> None:
    raise Leave


COMMANDS: dict[str, Callable[[str, Session, Terminal], None]] = {
    "auth": access.auth,
    "connect": access.connect,
    "use": context.use,
    "clear": context.clear,
    "insert": insert.insert,
    "format": settings.format,
    "precision": settings.precision,
    "consistency": settings.consistency,
    "pretty": settings.pretty,
    "timing": settings.timing,
    "pager": settings.pager,
    "chunked": settings.chunked,
    "chunk": settings.chunk,
    "node": settings.node,
    "settings": settings.settings,
    "history": _history,
    "watch": watch.watch,
    "help": _help,
    "\\?": _help,
    "\\q": _leave,
    "\\e": _edit,
    "\\l": _ask("SHOW DATABASES"),
    "\\du": _users,
    "\\timing": settings.timing,
    "\\watch": watch.watch,
    "\\password": access.new_password,
    "exit": _leave,
    "quit": _leave,
}
