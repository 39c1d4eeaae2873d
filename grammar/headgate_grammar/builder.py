"""Statements from the grammar's rules, put together from one file of rules per kind."""

from lark import v_args

from headgate_grammar.build_databases import DatabaseRules
from headgate_grammar.build_expressions import ExpressionRules
from headgate_grammar.build_select import SelectRules
from headgate_grammar.build_series import SeriesRules
from headgate_grammar.build_users import UserRules
from headgate_grammar.statements import Statement


class Builder(UserRules, DatabaseRules, SelectRules, SeriesRules, ExpressionRules):
    """What Lark calls when a rule is complete: the method named like the rule."""

    @v_args(inline=True)
    def query(self, statement: Statement | None) -> Statement | None:
        return statement
