"""One frozen dataclass per kind of InfluxQL statement, its fields named by the words of the syntax.

`str(statement)` is canonical InfluxQL as InfluxDB 1.x prints it in refusals and warnings: keywords
in capitals, names quoted only where they must be, passwords as `[REDACTED]`. A statement is
therefore safe to log; the text that it was parsed from is not.
"""

from dataclasses import dataclass, field

from headgate_grammar.durations import go_duration
from headgate_grammar.privilege import Privilege
from headgate_grammar.quoting import quote_identifier as name_of

REDACTED = "[REDACTED]"


@dataclass(frozen=True, slots=True)
class CreateUser:
    name: str
    password: str = field(repr=False)
    admin: bool = False

    def __str__(self) -> str:
        tail = " WITH ALL PRIVILEGES" if self.admin else ""
        return f"CREATE USER {name_of(self.name)} WITH PASSWORD {REDACTED}{tail}"


@dataclass(frozen=True, slots=True)
class DropUser:
    name: str

    def __str__(self) -> str:
        return f"DROP USER {name_of(self.name)}"


@dataclass(frozen=True, slots=True)
class SetPassword:
    name: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"SET PASSWORD FOR {name_of(self.name)} = {REDACTED}"


@dataclass(frozen=True, slots=True)
class Grant:
    privilege: Privilege
    database: str
    user: str

    def __str__(self) -> str:
        return f"GRANT {self.privilege} ON {name_of(self.database)} TO {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class Revoke:
    privilege: Privilege
    database: str
    user: str

    def __str__(self) -> str:
        return f"REVOKE {self.privilege} ON {name_of(self.database)} FROM {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class GrantAdmin:
    user: str

    def __str__(self) -> str:
        return f"GRANT ALL PRIVILEGES TO {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class RevokeAdmin:
    user: str

    def __str__(self) -> str:
        return f"REVOKE ALL PRIVILEGES FROM {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class ShowUsers:
    def __str__(self) -> str:
        return "SHOW USERS"


@dataclass(frozen=True, slots=True)
class ShowGrants:
    user: str

    def __str__(self) -> str:
        return f"SHOW GRANTS FOR {name_of(self.user)}"


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What WITH says of a database's first retention policy; None and "" where it says nothing.

    Durations are nanoseconds, and 0 is INF.
    """

    duration: int | None = None
    replication: int | None = None
    shard_duration: int = 0
    name: str = ""

    def __str__(self) -> str:
        words = ["WITH"]
        if self.duration is not None:
            words.append(f"DURATION {go_duration(self.duration)}")
        if self.replication is not None:
            words.append(f"REPLICATION {self.replication}")
        if self.shard_duration:
            words.append(f"SHARD DURATION {go_duration(self.shard_duration)}")
        if self.name:
            words.append(f"NAME {name_of(self.name)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    name: str
    policy: PolicyOptions | None = None

    def __str__(self) -> str:
        tail = f" {self.policy}" if self.policy is not None else ""
        return f"CREATE DATABASE {name_of(self.name)}{tail}"


@dataclass(frozen=True, slots=True)
class DropDatabase:
    name: str

    def __str__(self) -> str:
        return f"DROP DATABASE {name_of(self.name)}"


@dataclass(frozen=True, slots=True)
class ShowDatabases:
    def __str__(self) -> str:
        return "SHOW DATABASES"


Statement = (
    CreateUser
    | DropUser
    | SetPassword
    | Grant
    | Revoke
    | GrantAdmin
    | RevokeAdmin
    | ShowUsers
    | ShowGrants
    | CreateDatabase
    | DropDatabase
    | ShowDatabases
)
