"""Statements about users, grants and passwords."""

from dataclasses import dataclass, field

from headgate_grammar.ast.privilege import Privilege
from headgate_grammar.text.quoting import quote_identifier as name_of
from headgate_grammar.text.quoting import quote_string
from headgate_grammar.text.redaction import REDACTED


@dataclass(frozen=True, slots=True)
class CreateUser:
    """The statement `CREATE USER`. `str()` redacts the password."""

    name: str
    password: str = field(repr=False)
    admin: bool = False

    def __str__(self) -> str:
        return self._text(REDACTED)

    def unredacted(self) -> str:
        """Returns the text of the statement, including the password."""
        return self._text(quote_string(self.password))

    def _text(self, password: str) -> str:
        tail = " WITH ALL PRIVILEGES" if self.admin else ""
        return f"CREATE USER {name_of(self.name)} WITH PASSWORD {password}{tail}"


@dataclass(frozen=True, slots=True)
class DropUser:
    """The statement `DROP USER`."""

    name: str

    def __str__(self) -> str:
        return f"DROP USER {name_of(self.name)}"


@dataclass(frozen=True, slots=True)
class SetPassword:
    """The statement `SET PASSWORD`. `str()` redacts the password."""

    name: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"SET PASSWORD FOR {name_of(self.name)} = {REDACTED}"

    def unredacted(self) -> str:
        """Returns the text of the statement, including the password."""
        return f"SET PASSWORD FOR {name_of(self.name)} = {quote_string(self.password)}"


@dataclass(frozen=True, slots=True)
class Grant:
    """The statement `GRANT privilege ON database TO user`."""

    privilege: Privilege
    database: str
    user: str

    def __str__(self) -> str:
        return f"GRANT {self.privilege} ON {name_of(self.database)} TO {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class Revoke:
    """The statement `REVOKE privilege ON database FROM user`."""

    privilege: Privilege
    database: str
    user: str

    def __str__(self) -> str:
        return f"REVOKE {self.privilege} ON {name_of(self.database)} FROM {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class GrantAdmin:
    """The statement `GRANT ALL PRIVILEGES TO user`, which sets the admin flag."""

    user: str

    def __str__(self) -> str:
        return f"GRANT ALL PRIVILEGES TO {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class RevokeAdmin:
    """The statement `REVOKE ALL PRIVILEGES FROM user`, which removes the admin flag."""

    user: str

    def __str__(self) -> str:
        return f"REVOKE ALL PRIVILEGES FROM {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class ShowUsers:
    """The statement `SHOW USERS`."""

    def __str__(self) -> str:
        return "SHOW USERS"


@dataclass(frozen=True, slots=True)
class ShowGrants:
    """The statement `SHOW GRANTS`."""

    user: str

    def __str__(self) -> str:
        return f"SHOW GRANTS FOR {name_of(self.user)}"
