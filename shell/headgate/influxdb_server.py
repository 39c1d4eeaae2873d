"""Reads users, grants and databases from a running InfluxDB 1.x, by its statements."""

from typing import Any

from headgate.meta_db import MetaData, MetaDatabase, MetaPolicy, MetaUser
from headgate.server_url import connection_to
from headgate_grammar import Privilege, parse_duration, quote_identifier
from headgate_shell.backends.base import ConnectionFailed, ConnectionSettings, RequestOptions
from headgate_shell.backends.http import HttpBackend

_PRIVILEGES = {str(Privilege(number)): number for number in range(4)}
# Statements of one request.
_BATCH = 50


def read_server(url: str, username: str, password: str) -> MetaData:
    """Returns the users and databases of the InfluxDB at *url*. No user has a hash.

    *username* is an administrator. Raises ValueError, with a message of one line.
    """
    connection = connection_to(url, username, password)
    try:
        return _read(connection)
    except ConnectionFailed as error:
        raise ValueError(str(error)) from None
    except (LookupError, TypeError):
        raise ValueError(f"{url}: the response is not that of an InfluxDB 1.x") from None


def _read(connection: ConnectionSettings) -> MetaData:
    names = [str(row[0]) for row in _ask(connection, ["SHOW DATABASES"])[0]]
    users = [(str(name), bool(admin)) for name, admin in _ask(connection, ["SHOW USERS"])[0]]
    policies = _ask(
        connection, [f"SHOW RETENTION POLICIES ON {quote_identifier(n)}" for n in names]
    )
    grants = _ask(connection, [f"SHOW GRANTS FOR {quote_identifier(name)}" for name, _ in users])
    return MetaData(
        [_database(name, rows) for name, rows in zip(names, policies, strict=True)],
        [
            MetaUser(name, "", admin, {str(on): _PRIVILEGES[privilege] for on, privilege in rows})
            for (name, admin), rows in zip(users, grants, strict=True)
        ],
    )


def _database(name: str, rows: list[Any]) -> MetaDatabase:
    """Returns the database *name*; *rows* are those of SHOW RETENTION POLICIES."""
    policies = [
        MetaPolicy(str(one), parse_duration(duration), parse_duration(shards), replicas)
        for one, duration, shards, replicas, _ in rows
    ]
    default = next((str(row[0]) for row in rows if row[4]), "")
    return MetaDatabase(name, default, policies)


def _ask(connection: ConnectionSettings, statements: list[str]) -> list[list[Any]]:
    """Returns the rows of the result of each statement. Raises ValueError for an error."""
    found: list[list[Any]] = []
    backend = HttpBackend()
    for start in range(0, len(statements), _BATCH):
        part = statements[start : start + _BATCH]
        response = backend.query(connection, "; ".join(part), RequestOptions(chunked=False))
        if response.first_error:
            hint = "" if connection.username else ": name an administrator with --username"
            raise ValueError(f"{connection.url}: {response.first_error}{hint}")
        if len(response.results) != len(part):
            raise LookupError
        # Each of these results has one table, also if it has no rows.
        found += [result["series"][0].get("values", []) for result in response.results]
    return found
