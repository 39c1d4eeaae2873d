"""Embeds users and grants in a Python program, with a store file: `python embed.py users.db`."""

import sys

from headgate_engine import EVERYBODY, AuthenticationFailed, Engine, Need, SqliteStore, allows
from headgate_grammar import Privilege

engine = Engine(SqliteStore(sys.argv[1]))
engine.query("CREATE USER root WITH PASSWORD 'Toor-1' WITH ALL PRIVILEGES", EVERYBODY)
engine.query("CREATE DATABASE telegraf; CREATE USER todd WITH PASSWORD 's3cret'", EVERYBODY)
for result in engine.query("GRANT READ ON telegraf TO todd; SHOW GRANTS FOR todd", EVERYBODY):
    print(result.error or [list(series.values) for series in result.series])

todd = engine.authenticate("todd", "s3cret")
print("may read:", allows(todd, Need(Privilege.READ, "telegraf")))
print("may write:", allows(todd, Need(Privilege.WRITE, "telegraf")))
try:
    engine.authenticate("todd", "guess")
except AuthenticationFailed as error:
    print("wrong password:", error)
