"""Finds the tokens that a parse error names and lists, in InfluxDB's own words and order."""

from collections.abc import Sequence

from lark import Token

from headgate_grammar.parsing.dialects import Dialect

_STATEMENTS = "SELECT DELETE SHOW CREATE DROP EXPLAIN GRANT REVOKE ALTER SET KILL"

# What InfluxDB lists as expected after the words at the start of a statement. InfluxDB lists the
# words in the order in which it registers statements, and omits some words that it accepts. Such
# lists cannot be derived from the grammar.
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

# For all other places: some terminals of the grammar, and what InfluxDB lists if the grammar
# accepts all these terminals. The first matching row applies. InfluxDB omits optional tokens before
# a required token.
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
# Rows for 1.12, before those above.
_WHERE_ACCEPTED_1_12: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"IDENT", "ANY_NAME"}), ("identifier or *",)),
    (
        frozenset({"DURATION", "DEFAULT"}),
        ("DURATION", "REPLICATION", "SHARD", "DEFAULT", "FUTURE", "PAST"),
    ),
    (
        frozenset({"DURATION", "NAME"}),
        ("DURATION", "NAME", "REPLICATION", "SHARD", "FUTURE", "PAST"),
    ),
)

_NAMES = {
    **{"STRING": "string", "INTEGER": "integer", "REGEX": "regex"},
    **{"EQUAL": "=", "LPAR": "(", "DOT": "."},
}


def expected(words: Sequence[str], accepted: set[str], dialect: Dialect = "") -> tuple[str, ...]:
    """Returns the tokens that InfluxDB's error message lists as expected after *words*.

    *words* are the types of the tokens from the start of the statement to the error. *accepted*
    are the terminals that the grammar accepts after these tokens. The message is that of InfluxDB
    1.8, or of 1.12 if *dialect* says so.
    """
    after = _AFTER.get(" ".join(words[:4]))
    if after is not None and len(words) < 4:
        return after
    newer = _WHERE_ACCEPTED_1_12 if dialect == "1.12" else ()
    for some, listed in (*newer, *_WHERE_ACCEPTED):
        if some <= accepted:
            return listed
    return tuple(sorted(_NAMES.get(name, name) for name in accepted))


def terminal(listed: str) -> str:
    """Returns the grammar's terminal for *listed*, one of the tokens that `expected` returns.

    For `;` and `)`, which may end an expression or a clause, this is `$END` and `RPAR`. Any other
    token is returned unchanged.
    """
    return {";": "$END", ")": "RPAR"}.get(listed, listed)


def display_token(token: Token) -> str:
    """Returns *token* as InfluxDB's error messages show it: its value, or the name of its type."""
    match token.type:
        case "$END":
            return "EOF"
        case "SWALLOWING":
            return token.value or "IDENT"
        case "NOT_EQUAL":
            return "!="
        case "FILL" | "TZ":
            return str(token)
        case "VERBOSE" | "EXPLAIN_VERBOSE":
            return "VERBOSE"
        case "REGEX":
            return token.value or "REGEX"
        case "IDENT" | "STRING" | "BADSTRING" | "BADESCAPE" | "ILLEGAL":
            return token.value or token.type
        case _ if str(token).upper() == token.type:
            return token.type
        case _:
            return str(token)
