"""Runs the shell's own commands, such as `use` and `\\du`, which are not InfluxQL."""

from collections.abc import Callable

from headgate_shell.backends.base import Response
from headgate_shell.commands import accounts, context, insert, settings, watch
from headgate_shell.commands import login as access
from headgate_shell.go_space import arguments, split_words
from headgate_shell.output.render import render
from headgate_shell.session import Session
from headgate_shell.terminal import CommandFailed, Exit, Terminal

HELP = """\
Commands:
  auth [<user> <password>]   log in as another user; prompts for what is missing
  connect [<host>[:<port>]]  connect to another server, or check this one
  use <database>[.<policy>]  set the database and retention policy of later statements
  clear database|db          unset the database; clear retention policy|rp: only the policy
  format <format>            column, csv, json, table, vertical or markdown
  pretty                     switch indented JSON on or off
  precision <unit>           unit of times: rfc3339, h, m, s, ms, u or ns
  insert [into <database>.<policy>] <point>
                             write a line of data
  consistency <level>        of writes: any, one, quorum or all
  chunked, chunk size <n>    switch chunked responses on or off; rows per chunk, 0: the server's
  node <number>|clear        send requests to that node of a cluster
  history [<n>]              list earlier lines
  \\e [<text>]                edit the last statement, or the text, in $EDITOR
  watch [<seconds>] <statement>
                             repeat the statement until Ctrl-C
  timing, pager              switch on or off: show durations; page long output
  \\l, \\du [<user>]           list databases; users (or your own grants), or a user's grants
  \\dp [<user>|<database>]    list privileges: of all users, of one, or on a database
  \\keys [<user>]             list API keys: your own, or a user's
  \\key <name> [for <user>] [read|write|all on <database>, ...] [ttl 30d]
                             make an API key, and show it once
  \\revoke <id>               revoke an API key
  \\sessions [<user>]         list sessions: your own, or a user's
  \\logout [<user>]           end all your sessions, or a user's
  \\password [<user>]         set a password, your own by default; prompts twice
  \\i <file>, \\o [<file>]     run the lines of a file; write results to a file
  \\conninfo                  say which server this is, and as which user
  \\h [<statement>]           show the syntax of statements
  <statement> \\G             show the result with a line for each value
  settings                   list the settings
  help, \\?                   print this text
  exit, quit, \\q, Ctrl-D     exit

Everything else is InfluxQL and is sent to the server, for example:
  CREATE USER todd WITH PASSWORD 'secret'
  GRANT READ ON telegraf TO todd
  SHOW GRANTS FOR todd
"""


def is_command(line: str) -> bool:
    """Returns whether the first word of *line* is one of the shell's own commands."""
    return _command_name(line) in COMMANDS


def run_command(line: str, session: Session, terminal: Terminal) -> None:
    """Runs *line*, one of the shell's commands. Raises Exit, CommandFailed or ConnectionFailed."""
    COMMANDS[_command_name(line)](line, session, terminal)


def _command_name(line: str) -> str:
    words = split_words(line, 2)
    return words[0].rstrip(";").lower() if words else ""


def _help(line: str, session: Session, terminal: Terminal) -> None:
    terminal.write(HELP)


def _history(line: str, session: Session, terminal: Terminal) -> None:
    words = split_words(arguments(line))
    lines = terminal.history()
    if words and words[0].isascii() and words[0].isdigit() and len(words[0]) < 10:
        lines = lines[max(0, len(lines) - int(words[0])) :]
    terminal.write("".join(f"{text}\n" for text in lines))


def _edit(line: str, session: Session, terminal: Terminal) -> None:
    """`\\e [TEXT]`: edits the text, or the last statement, in $EDITOR before the next prompt."""
    if terminal.open_editor is None:
        raise CommandFailed("\\e: no terminal to edit on")
    text = split_words(line, 2)[1:]
    terminal.open_editor(text[0] if text else "")


def _run_statement(statement: str) -> Callable[[str, Session, Terminal], None]:
    def run(line: str, session: Session, terminal: Terminal) -> None:
        _show(session.query(statement), session, terminal)

    return run


def _show(response: Response, session: Session, terminal: Terminal) -> None:
    """Writes *response*. Raises CommandFailed for its error, unless a person reads it."""
    if response.first_error and not terminal.interactive:
        raise CommandFailed(response.first_error)
    terminal.write(render(response, session, hint=False))


def _users(line: str, session: Session, terminal: Terminal) -> None:
    """`\\du`: lists the users; `\\du NAME`: lists the grants of a user.

    For a user that may list neither, lists the user's own grants.
    """
    name = arguments(line)
    own = session.own_grants() if name in ("", session.connection.username) else None
    if own is not None:
        response = own
    elif name:
        # Imported on demand: the grammar takes long to load.
        from headgate_shell.statements import show_grants

        response = session.query(show_grants(name))
        for result in response.results:
            if "error" in result:
                result["error"] = access.with_username(str(result["error"]), name)
    else:
        response = session.query("SHOW USERS")
    _show(response, session, terminal)


def _access(line: str, session: Session, terminal: Terminal) -> None:
    """`\\dp [NAME]`: lists the privileges of all users, of one user, or on one database."""
    response = session.access(arguments(line))
    if response is None:
        raise CommandFailed("\\dp: this server does not list privileges; Headgate does")
    _show(response, session, terminal)


def _exit(line: str, session: Session, terminal: Terminal) -> None:
    raise Exit


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
    "\\q": _exit,
    "\\e": _edit,
    "\\l": _run_statement("SHOW DATABASES"),
    "\\du": _users,
    "\\dp": _access,
    "\\who": _access,
    "\\keys": accounts.keys,
    "\\key": accounts.key,
    "\\revoke": accounts.revoke,
    "\\sessions": accounts.sessions,
    "\\logout": accounts.logout,
    "\\timing": settings.timing,
    "\\watch": watch.watch,
    "\\password": access.change_password,
    "exit": _exit,
    "quit": _exit,
}
