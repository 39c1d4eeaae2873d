"""Tables of users and their privileges, from the content of Headgate's `/api/access`."""

from typing import Any

from headgate_shell.backends.base import Response


def access_table(users: list[dict[str, Any]]) -> Response:
    """Returns a table with a row for each of *users*.

    Each user has the members `user`, `admin` and `privilege`, or `name`, `admin` and `grants`.
    """
    if users and "privilege" in users[0]:
        columns = ["user", "admin", "privilege"]
        rows = [[user[column] for column in columns] for user in users]
    else:
        columns = ["user", "admin", "grants"]
        rows = [[user["name"], user["admin"], _grants(user["grants"])] for user in users]
    return Response([{"series": [{"columns": columns, "values": rows}]}])


def unknown_name(name: str) -> Response:
    """Returns the error for a *name* of neither a user nor a database."""
    return Response([], f"no user and no database has the name {name}")


def _grants(grants: dict[str, str]) -> str:
    return ", ".join(f"{privilege} on {database}" for database, privilege in grants.items())
