"""The class that builds all InfluxQL statements while Lark parses a text.

Its methods are in one file per kind of statement: transform_users.py, transform_select.py etc.
"""

from lark import v_args

from headgate_grammar.ast.statements import Statement
from headgate_grammar.parsing.transform_databases import DatabaseRules
from headgate_grammar.parsing.transform_expressions import ExpressionRules
from headgate_grammar.parsing.transform_select import SelectRules
from headgate_grammar.parsing.transform_series import SeriesRules
from headgate_grammar.parsing.transform_users import UserRules


class Builder(UserRules, DatabaseRules, SelectRules, SeriesRules, ExpressionRules):
    """Lark's transformer: for each complete rule Lark calls the method of the same name."""

    @v_args(inline=True)
    def query(self, statement: Statement | None) -> Statement | None:
        """Returns *statement*, which is None for a text without a statement."""
        return statement
