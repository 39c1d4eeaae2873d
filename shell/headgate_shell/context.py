"""The commands `use` and `clear`: which database statements mean that name none."""

from headgate_shell.session import Session
from headgate_shell.terminal import Terminal

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
    words = line.removesuffix(";").split(maxsplit=1)
    if len(words) < 2:
        terminal.write(f'Could not parse database name from "{line}".\n')
        return
    database, dot, policy = words[1].replace('"', "").partition(".")
    if "." in policy:
        terminal.write(f"Unable to parse database or retention policy from {words[1]}")
        return
    response = session.query("SHOW DATABASES")
    if response.first_error:
        if not session.username or terminal.checks:
            terminal.write(f"ERR: {response.first_error}\nDB does not exist!\n")
            return
        terminal.write(f"WARN: {response.first_error}\n")
    elif database not in _names(response.results):
        terminal.write(
            f"ERR: Database {database} doesn't exist."
            " Run SHOW DATABASES for a list of existing databases.\nDB does not exist!\n"
        )
        return
    session.database = database
    session.retention_policy = ""
    terminal.write(f"Using database {database}\n")
    if dot and policy:
        _use_policy(policy, session, terminal)


def _use_policy(policy: str, session: Session, terminal: Terminal) -> None:
    quoted = session.database.replace("\\", "\\\\").replace('"', '\\"')
    response = session.query(f'SHOW RETENTION POLICIES ON "{quoted}"')
    if policy in _names(response.results):
        session.retention_policy = policy
        terminal.write(f"Using retention policy {policy}\n")
    else:
        terminal.write(
            f"ERR: RETENTION POLICY {policy} doesn't exist. Run SHOW RETENTION POLICIES ON"
            f' "{session.database}" for a list of existing retention polices.\n'
        )


def _names(results: list[dict[str, object]]) -> set[object]:
    """The first column of all rows."""
    rows = (
        row
        for result in results
        for series in result.get("series", ())  # type: ignore[attr-defined]  # JSON from a server
        for row in series.get("values", ())
    )
    return {row[0] for row in rows}


def clear(line: str, session: Session, terminal: Terminal) -> None:
    what = " ".join(line.removesuffix(";").lower().split()[1:])
    match what:
        case "database" | "db":
            session.database = session.retention_policy = ""
            terminal.write("database context cleared\n")
        case "retention policy" | "rp":
            session.retention_policy = ""
            terminal.write("retention policy context cleared\n")
        case "":
            terminal.write(_CLEAR_HELP)
        case _:
            terminal.write(f'invalid command "{what}".\n{_CLEAR_HELP}')
