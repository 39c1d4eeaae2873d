"""What a user may do with a database: InfluxQL's READ, WRITE, ALL PRIVILEGES and NO PRIVILEGES."""

from enum import IntFlag


class Privilege(IntFlag):
    """A two-bit lattice: ALL is READ and WRITE, and `granted & needed == needed` decides.

    The numbers are those InfluxDB 1.x stores (0 to 3), and `str()` is what SHOW GRANTS prints.
    """

    NONE = 0
    READ = 1
    WRITE = 2
    ALL = 3

    def __str__(self) -> str:
        return _NAMES[self]


_NAMES = ("NO PRIVILEGES", "READ", "WRITE", "ALL PRIVILEGES")
