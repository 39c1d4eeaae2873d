"""The commands `use` and `clear`: the database and retention policy of a session."""

import re

from headgate_shell.go_quote import go_quote
from headgate_shell.go_space import trim
from headgate_shell.session import Session
from headgate_shell.terminal import Terminal

_QUOTED = r'"(?:[^"\\\n]|\\[n"\'\\])*"'
_CLEAR_HELP = """\
Possible commands for 'clear' are:
    # Clear the database context
    clear database
    clear db

    # Clear the retention policy context
    clear retention policy
    clear rp
\t\t
"""


def use(line: str, session: Session, terminal: Terminal) -> None:
    """`use DATABASE[.POLICY]`: sets the session's database and policy if they exist.

    In a script that has a username, an error of SHOW DATABASES prints a warning, as in influx.
    The database is then set unchecked.
    """
    # influx requires a space here; its other commands accept any white space.
    _, blank, text = trim(line).removesuffix(";").partition(" ")
    if not blank:
        terminal.write(f"Could not parse database name from {go_quote(line)}.\n")
        return
    text = trim(text)
    names = _split_names(text)
    if len(names) > 2:
        terminal.write(f"Unable to parse database or retention policy from {text}")
        return
    database, policy = names[0], names[1] if len(names) > 1 else ""
    response = session.query("SHOW DATABASES")
    if response.first_error:
        if not session.connection.username or terminal.interactive:
            terminal.write(f"ERR: {response.first_error}\nDB does not exist!\n")
            return
        terminal.write(f"WARN: {response.first_error}\n")
    elif database not in _first_column(response.results):
        terminal.write(
            f"ERR: Database {database} doesn't exist."
            " Run SHOW DATABASES for a list of existing databases.\nDB does not exist!\n"
        )
        return
    session.database = database
    session.retention_policy = ""
    terminal.write(f"Using database {database}\n")
    if policy:
        _use_policy(policy, session, terminal)


def _use_policy(policy: str, session: Session, terminal: Terminal) -> None:
    # Imported on demand: the grammar takes long to load.
    from headgate_shell.statements import show_retention_policies

    response = session.query(show_retention_policies(session.database))
    if policy in _first_column(response.results):
        session.retention_policy = policy
        terminal.write(f"Using retention policy {policy}\n")
    else:
        terminal.write(
            f"ERR: RETENTION POLICY {policy} doesn't exist. Run SHOW RETENTION POLICIES ON"
            f' "{session.database}" for a list of existing retention polices.\n'
        )


def _split_names(text: str) -> list[str]:
    """Splits *text* into names at its dots; dots inside double quotes do not split."""
    quoted = rf"{_QUOTED}(?:\.(?:{_QUOTED}|[^.\"]*))?|[^.\"]*\.{_QUOTED}"
    if re.fullmatch(quoted, text) is None:
        return text.replace('"', "").split(".")
    return [
        re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], name[1:-1])
        if name.startswith('"')
        else name
        for name in re.findall(rf'{_QUOTED}|[^."]+', text)
    ]


def _first_column(results: list[dict[str, object]]) -> set[object]:
    """Returns the first value of each row in *results*, such as the names of databases."""
    rows = (
        row
        for result in results
        for series in result.get("series", ())  # type: ignore[attr-defined]  # JSON from a server
        for row in series.get("values", ())
    )
    return {row[0] for row in rows}


def clear(line: str, session: Session, terminal: Terminal) -> None:
    """`clear database` unsets database and policy; `clear retention policy` only the policy."""
    # influx splits words at spaces only here.
    target = " ".join(trim(line).removesuffix(";").lower().split(" ")[1:])
    match target:
        case "database" | "db":
            session.database = session.retention_policy = ""
            terminal.write("database context cleared\n")
        case "retention policy" | "rp":
            session.retention_policy = ""
            terminal.write("retention policy context cleared\n")
        case "":
            terminal.write(_CLEAR_HELP)
        case _:
            terminal.write(f"invalid command {go_quote(target)}.\n{_CLEAR_HELP}")
