"""Creates SQLite files of users in earlier versions of the schema."""

from pathlib import Path

import apsw

from support.places import TESTS


def create_old_store(path: Path, version: int) -> None:
    """Creates the store file *path* from the SQL file of the schema *version*."""
    script = TESTS / "unit" / "engine" / f"store_v{version}.sql"
    connection = apsw.Connection(str(path))
    connection.execute(script.read_text()).fetchall()
    connection.close()
