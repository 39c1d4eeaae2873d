"""The reserved words of InfluxQL: a name that is spelled like a reserved word must be quoted."""

# InfluxDB 1.8's list. It includes words that no rule of the grammar uses: otherwise a name that is
# accepted now would be rejected when a rule uses the word.
KEYWORDS = frozenset(
    """
    ALL ALTER ANALYZE AND ANY AS ASC BEGIN BY CARDINALITY CONTINUOUS CREATE DATABASE DATABASES
    DEFAULT DELETE DESC DESTINATIONS DIAGNOSTICS DISTINCT DROP DURATION END EVERY EXACT EXPLAIN
    FALSE FIELD FOR FROM GRANT GRANTS GROUP GROUPS IN INF INSERT INTO KEY KEYS KILL LIMIT
    MEASUREMENT MEASUREMENTS NAME OFFSET ON OR ORDER PASSWORD POLICIES POLICY PRIVILEGES QUERIES
    QUERY READ REPLICATION RESAMPLE RETENTION REVOKE SELECT SERIES SET SHARD SHARDS SHOW SLIMIT
    SOFFSET STATS SUBSCRIPTION SUBSCRIPTIONS TAG TO TRUE USER USERS VALUES WHERE WITH WRITE
    """.split()
)
# Further words that InfluxDB 1.12 reserves.
NEW_KEYWORDS = frozenset({"future", "past", "verbose"})


def is_keyword(word: str) -> bool:
    """Returns whether *word*, in upper or lower case, is a reserved word of InfluxQL."""
    # Only ASCII is folded: "ﬁeld".upper() is FIELD, but the scanner does not read it as a word.
    return word.isascii() and word.upper() in KEYWORDS
