"""Creates store files of earlier versions of the format."""

from pathlib import Path

import apsw

from support.places import TESTS


def create_old_store(path: Path, version: int) -> None:
    """Creates the store file *path* in the format *version*, with the content of its SQL file."""
    script = TESTS / "unit" / "engine" / f"store_v{version}.sql"
    connection = apsw.Connection(str(path))
    connection.execute(script.read_text()).fetchall()
    connection.close()
