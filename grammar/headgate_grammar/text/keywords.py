"""The words that InfluxQL reserves: a name spelt like one of them has to be quoted."""

# InfluxDB 1.8's list. It is the language's, not the grammar's: a word that no rule uses yet is
# reserved all the same, or a name accepted today would be refused tomorrow.
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


def is_keyword(word: str) -> bool:
    """Whether *word*, in any case, is reserved."""
    # Only ASCII letters fold: "ﬁeld".upper() would be FIELD, but no scanner reads it as a word.
    return word.isascii() and word.upper() in KEYWORDS
