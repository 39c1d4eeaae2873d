"""Filters the rows of SHOW QUERIES and SHOW CONTINUOUS QUERIES by the user's privileges."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from headgate_engine import (
    RequiredPrivilege,
    Result,
    Series,
    User,
    Value,
    allows,
    required_privileges,
)
from headgate_grammar import ParseError, Privilege, ShowContinuousQueries, Statement

ParseFunction = Callable[[str], Sequence[Statement]]


def filter_readable(result: Result, user: User, parse: ParseFunction) -> Result:
    """Returns *result* with the rows that *user* may see.

    A running query is shown to a user that may execute it. A continuous query is shown to a user
    that may read each database that it names. InfluxDB labels a query with the database of its
    request, which the client chose. So this function ignores the label, and checks the privileges
    that the query's text requires. A text that *parse* rejects is shown to administrators only.
    """
    if isinstance(result.statement, ShowContinuousQueries):
        series = (_readable_continuous_queries(one, user, parse) for one in result.series)
    else:
        series = (_readable_queries(one, user, parse) for one in result.series)
    return replace(result, series=tuple(one for one in series if one is not None))


def _readable_queries(series: Series, user: User, parse: ParseFunction) -> Series:
    try:
        query_index, database_index = (
            series.columns.index("query"),
            series.columns.index("database"),
        )
    except ValueError:
        return replace(series, values=[])
    rows = [
        row
        for row in series.values
        if all(
            allows(user, need)
            for need in _required_privileges(
                row[query_index], str(row[database_index] or ""), parse
            )
        )
    ]
    return replace(series, values=rows)


def _readable_continuous_queries(series: Series, user: User, parse: ParseFunction) -> Series | None:
    """Returns *series* with the rows that *user* may see. The name of *series* is a database.

    Returns None, so that the caller leaves the series out, in two cases:

    - *user* may not read that database.
    - *series* has no column `query`.
    """
    if (
        not allows(user, RequiredPrivilege(Privilege.READ, series.name))
        or "query" not in series.columns
    ):
        return None
    query_index = series.columns.index("query")
    rows = []
    for row in series.values:
        databases = {
            need.database for need in _required_privileges(row[query_index], series.name, parse)
        }
        if all(allows(user, RequiredPrivilege(Privilege.READ, database)) for database in databases):
            rows.append(row)
    return replace(series, values=rows)


def _required_privileges(
    text: Value, database: str, parse: ParseFunction
) -> list[RequiredPrivilege]:
    """Returns the privileges that the statements of *text* require.

    *database* is the default database of the statements. An invalid or empty text requires the
    admin flag.
    """
    try:
        statements = parse(str(text))
    except ParseError:
        return [RequiredPrivilege(admin=True)]
    found = [need for statement in statements for need in required_privileges(statement, database)]
    return found if statements else [RequiredPrivilege(admin=True)]
