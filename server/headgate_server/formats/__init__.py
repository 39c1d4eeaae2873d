"""Encoders of results, in the format that the client accepts."""

from headgate_server.formats.base import Answer, Format, SeveralStatements, Splice
from headgate_server.formats.csv import Csv
from headgate_server.formats.json import Json
from headgate_server.formats.msgpack import MessagePack
from headgate_server.formats.negotiation import format_for

__all__ = [
    "Answer",
    "Csv",
    "Format",
    "Json",
    "MessagePack",
    "SeveralStatements",
    "Splice",
    "format_for",
]
