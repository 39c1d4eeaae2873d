"""The lists of expected tokens in InfluxDB's errors, in its own words and order."""

from collections.abc import Sequence

_STATEMENTS = "SELECT DELETE SHOW CREATE DROP EXPLAIN GRANT REVOKE ALTER SET KILL"

# The expected tokens after the words since the start of the statement. These lists follow the order
# in which InfluxDB registers statements, or omit some accepted words.
_AFTER = {
    "": tuple(_STATEMENTS.split()),
    "CREATE": ("CONTINUOUS", "DATABASE", "USER", "RETENTION", "SUBSCRIPTION"),
    "GRANT": ("READ", "WRITE", "ALL [PRIVILEGES]"),
    "GRANT ALL": ("ON", "TO"),
    "REVOKE": ("READ", "WRITE", "ALL [PRIVILEGES]"),
    "REVOKE ALL": ("ON", "FROM"),
    "REVOKE ALL PRIVILEGES": ("ON", "FROM"),
    "EXPLAIN": ("SELECT",),
    "EXPLAIN ANALYZE": ("SELECT",),
    "SHOW MEASUREMENT": ("EXACT", "CARDINALITY"),
    "SHOW FIELD KEY": ("EXACT", "CARDINALITY"),
    "SHOW TAG KEY": ("EXACT", "CARDINALITY"),
}

# The expected tokens by the terminals that the grammar accepts: the first row applies that
# has accepted terminals only. If a token is required, InfluxDB omits the optional ones before it.
_WHERE_ACCEPTED: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = tuple(
    (frozenset(accepted.split()), tuple(listed.split(" | ")))
    for accepted, listed in (
        ("STRING NUMBER", "identifier | string | number | bool"),
        ("$END", ";"),
        ("END", "END"),
        ("NUMBER", "identifier | number | duration | ("),
        ("IDENT ASC", "identifier | ASC | DESC"),
        ("IDENT", "identifier"),
        ("RPAR", ")"),
        ("WITH", "WITH"),
        ("FROM WHERE", "FROM | WHERE"),
        ("FROM", "FROM"),
        ("INTO", "INTO"),
        ("BEGIN", "BEGIN"),
        ("CAST_TYPE", "float | integer | string | boolean | field | tag"),
        ("WILDCARD_TYPE", "field | tag"),
        ("DURATION_LITERAL", "duration"),
        ("IN EQUAL", "IN | = | =~"),
        ("EQUAL EQ_REGEX", "= | =~"),
        ("DURATION DEFAULT", "DURATION | REPLICATION | SHARD | DEFAULT"),
    )
)

_NAMES = {
    **{"STRING": "string", "INTEGER": "integer", "REGEX": "regex"},
    **{"EQUAL": "=", "LPAR": "(", "DOT": "."},
}


def expected(words: Sequence[str], accepted: set[str]) -> tuple[str, ...]:
    """Returns the tokens that InfluxDB's error lists as expected after *words*.

    *words* are the types of the tokens since the start of the statement. *accepted* are the
    terminals that the grammar accepts after them.
    """
    after = _AFTER.get(" ".join(words[:4]))
    if after is not None and len(words) < 4:
        return after
    for some, listed in _WHERE_ACCEPTED:
        if some <= accepted:
            return listed
    return tuple(sorted(_NAMES.get(name, name) for name in accepted))


def terminal(listed: str) -> str:
    """Returns the grammar's terminal for *listed*, an entry of the list from `expected`.

    It translates only entries that may end an expression or a clause.
    """
    return {";": "$END", ")": "RPAR"}.get(listed, listed)
