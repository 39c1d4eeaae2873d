"""Statements from the grammar's rules, put together from one file of rules per kind."""

from lark import v_args

from headgate_grammar.ast.statements import Statement
from headgate_grammar.parsing.transform_databases import DatabaseRules
from headgate_grammar.parsing.transform_expressions import ExpressionRules
from headgate_grammar.parsing.transform_select import SelectRules
from headgate_grammar.parsing.transform_series import SeriesRules
from headgate_grammar.parsing.transform_users import UserRules


class Builder(UserRules, DatabaseRules, SelectRules, SeriesRules, ExpressionRules):
    """What Lark calls when a rule is complete: the method named like the rule."""

    @v_args(inline=True)
    def query(self, statement: Statement | None) -> Statement | None:
        return statement
