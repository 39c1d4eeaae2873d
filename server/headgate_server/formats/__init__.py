"""Results as the bytes of an answer, in the format that the client asks for."""

from headgate_server.formats.accept import format_for
from headgate_server.formats.answer import Answer, Format, SeveralStatements, Splice
from headgate_server.formats.csv_format import Csv
from headgate_server.formats.json_format import Json
from headgate_server.formats.msgpack_format import MessagePack

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
