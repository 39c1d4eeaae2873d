"""Encoders of results, in the format that the client accepts."""

from headgate_server.formats.base import ResultEncoder, SeveralStatements, Splice, StatementResult
from headgate_server.formats.csv import CsvEncoder
from headgate_server.formats.json import JsonEncoder
from headgate_server.formats.msgpack import MessagePackEncoder
from headgate_server.formats.negotiation import encoder_for

__all__ = [
    "StatementResult",
    "CsvEncoder",
    "ResultEncoder",
    "JsonEncoder",
    "MessagePackEncoder",
    "SeveralStatements",
    "Splice",
    "encoder_for",
]
