"""Embeds users and grants in a Python program, with a store file: `python embed.py users.db`."""

import sys

from headgate_engine import (
    UNRESTRICTED,
    AuthenticationFailed,
    Engine,
    RequiredPrivilege,
    SqliteStore,
    allows,
)
from headgate_grammar import Privilege

engine = Engine(SqliteStore(sys.argv[1]))
engine.create_user("root", "Toor-1", admin=True)
engine.create_database("telegraf")
engine.create_user("todd", "s3cret")
engine.grant(Privilege.READ, "telegraf", "todd")
for result in engine.query("SHOW GRANTS FOR todd", UNRESTRICTED):
    print(result.error or [list(series.values) for series in result.series])

todd = engine.authenticate("todd", "s3cret")
print("may read:", allows(todd, RequiredPrivilege(Privilege.READ, "telegraf")))
print("may write:", allows(todd, RequiredPrivilege(Privilege.WRITE, "telegraf")))
try:
    engine.authenticate("todd", "guess")
except AuthenticationFailed as error:
    print("wrong password:", error)
