"""Builds statements from the grammar's rules; each kind of statement has its own file of rules."""

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
        """Returns the statement, or None for a query without one."""
        return statement
