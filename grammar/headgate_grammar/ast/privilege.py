"""The privileges on a database: READ, WRITE, ALL PRIVILEGES and NO PRIVILEGES."""

from enum import IntFlag


class Privilege(IntFlag):
    """A privilege as two bits, READ and WRITE; ALL has both.

    A granted privilege includes a needed one if `granted & needed == needed`.
    InfluxDB 1.x stores the same numbers, 0 to 3. `str()` is the text in SHOW GRANTS.
    """

    NONE = 0
    READ = 1
    WRITE = 2
    ALL = 3

    def __str__(self) -> str:
        return _NAMES[self]


_NAMES = ("NO PRIVILEGES", "READ", "WRITE", "ALL PRIVILEGES")
