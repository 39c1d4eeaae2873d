"""What InfluxDB lists as expected at a place, in its own words and order."""

from collections.abc import Iterable

_STATEMENTS = "SELECT DELETE SHOW CREATE DROP EXPLAIN GRANT REVOKE ALTER SET KILL"

# By the keywords since the beginning of the statement: where InfluxDB's list is in the order in
# which it registered its statements, or leaves out what it accepts as well.
_AFTER = {
    "": tuple(_STATEMENTS.split()),
    "CREATE": ("CONTINUOUS", "DATABASE", "USER", "RETENTION", "SUBSCRIPTION"),
    "DROP": (
        *("CONTINUOUS", "DATABASE", "MEASUREMENT", "RETENTION"),
        *("SERIES", "SHARD", "SUBSCRIPTION", "USER"),
    ),
    "SHOW": (
        *("CONTINUOUS", "DATABASES", "DIAGNOSTICS", "FIELD", "GRANTS", "MEASUREMENT"),
        *("MEASUREMENTS", "QUERIES", "RETENTION", "SERIES", "SHARD", "SHARDS", "STATS"),
        *("SUBSCRIPTIONS", "TAG", "USERS"),
    ),
    "GRANT": ("READ", "WRITE", "ALL [PRIVILEGES]"),
    "GRANT ALL": ("ON", "TO"),
    "REVOKE": ("READ", "WRITE", "ALL [PRIVILEGES]"),
    "REVOKE ALL": ("ON", "FROM"),
    "REVOKE ALL PRIVILEGES": ("ON", "FROM"),
}

_NAMES = {
    "IDENT": "identifier",
    "STRING": "string",
    "INTEGER": "integer",
    "DURATION_LITERAL": "duration",
    "EQUAL": "=",
    "SEMICOLON": ";",
}


def expected(words: Iterable[str], accepted: set[str]) -> tuple[str, ...]:
    """The list for a place after *words*, where the grammar accepts the terminals *accepted*."""
    after = _AFTER.get(" ".join(words))
    if after is not None:
        return after
    if "$END" in accepted:
        # Whatever else might follow here is optional: InfluxDB has given up on it already.
        return (";",)
    if "DURATION_LITERAL" in accepted:
        accepted = accepted - {"INF"}
    return tuple(sorted(_NAMES.get(name, name) for name in accepted))
