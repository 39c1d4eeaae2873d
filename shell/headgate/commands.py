"""The table of commands: for each name its module, and what it does."""

from typing import NamedTuple


class Command(NamedTuple):
    """A command of `headgate`. *module* is in this package, and has `main` and `command_parser`."""

    module: str
    help: str


COMMANDS = {
    "init": Command("init", "create a user store with its first administrator"),
    "serve": Command(
        "serve", "serve InfluxDB 1.x's HTTP API over a store of users, grants and databases"
    ),
    "login": Command("login", "sign in to a server, for the commands that use one"),
    "logout": Command("logout", "end the session of login"),
    "shell": Command(
        "shell",
        "send statements to a server, interactively or from scripts written for influx",
    ),
    "store": Command("store", "make, check, copy, back up or restore a store"),
    "admin": Command(
        "admin", "recover access on a store: set a password, make a user an administrator"
    ),
    "user": Command("user", "list, add, disable and enable users on a store"),
    "key": Command("key", "make, list, rotate and revoke API keys on a store or a server"),
    "session": Command("login_session", "list and end sessions on a store"),
    "token": Command("token", "create a token, or explain whether the server would accept one"),
    "ldap": Command(
        "ldap", "try the login of a user in a directory; give all users their rights there"
    ),
    "sso": Command("sso", "try the settings of a provider, and what claims give"),
    "import": Command(
        "import_influxdb", "take users from an InfluxDB's meta.db, or a Pyroscope's pyroscope.db"
    ),
    "export": Command("export", "write them as a meta.db, or as a file for apply"),
    "apply": Command("apply", "make a store match a file of users, grants and databases"),
    "access": Command("access", "list which user may do what on which database"),
    "can": Command("can", "say whether a user may execute a query, and why"),
    "sync": Command("sync", "import the upstream's databases into the catalog"),
    "audit": Command("audit", "list changes and denied attempts: time, user, address, outcome"),
    "completion": Command("completion", "print completions for bash, zsh or fish"),
}


def usage() -> str:
    """Returns the help of `headgate` without a command."""
    width = max(map(len, COMMANDS)) + 1
    lines = [f"  {name:{width}} {command.help}\n" for name, command in COMMANDS.items()]
    return (
        "usage: headgate COMMAND ...\n\ncommands:\n"
        + "".join(lines)
        + "\n`headgate COMMAND -help` lists the flags of a command.\n"
    )
