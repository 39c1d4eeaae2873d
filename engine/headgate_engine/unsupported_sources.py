"""Rejects statements that InfluxDB can parse, but refuses to execute."""

from headgate_engine.errors import SystemSource, TimeCondition
from headgate_grammar import (
    Expression,
    Measurement,
    Operation,
    Paren,
    Select,
    ShowMeasurements,
    Statement,
    VarRef,
)

# The SHOW statement for the content of each system measurement. It is "" for a measurement that
# InfluxDB uses internally only.
_SYSTEM_SOURCES = {
    "_fieldKeys": "SHOW FIELD KEYS",
    "_measurements": "SHOW MEASUREMENTS",
    "_name": "",
    "_series": "SHOW SERIES",
    "_tagKey": "",
    "_tagKeys": "SHOW TAG KEYS",
    "_tags": "SHOW TAG VALUES",
}


def check_answerable(statement: Statement) -> None:
    """Checks that an upstream store, such as InfluxDB, could answer *statement*.

    Raises SystemSource if *statement* selects from a system measurement such as `_series`. Raises
    TimeCondition for SHOW MEASUREMENTS with a condition on `time`.
    """
    match statement:
        case Select(sources=sources):
            for source in sources:
                if isinstance(source, Measurement) and source.name in _SYSTEM_SOURCES:
                    raise SystemSource(source.name, _SYSTEM_SOURCES[source.name])
        case ShowMeasurements(condition=condition) if condition is not None and _compares_time(
            condition
        ):
            raise TimeCondition("SHOW MEASUREMENTS")


def _compares_time(condition: Expression) -> bool:
    """Returns whether `time` is an operand anywhere in *condition*."""
    match condition:
        case Paren(inner):
            return _compares_time(inner)
        case Operation(first, rest):
            return any(map(_is_time, (first, *(operand for _, operand in rest))))
    return False


def _is_time(operand: Expression) -> bool:
    return (isinstance(operand, VarRef) and operand.name.lower() == "time") or _compares_time(
        operand
    )
