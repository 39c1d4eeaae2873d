"""Generates random InfluxQL: valid statements that follow the grammar, and nearly valid texts."""

import random
import re
from collections.abc import Callable, Sequence

from headgate_grammar import quote_identifier
from headgate_grammar.text.quoting import quote_string

NAMES = [
    *("cpu", "m", "db", "rp", "time", "value", "_x9", "fill", "tz", "host", "verbose", "Mean"),
    *("with space", "select", 'q"uote', "a.b", "", "ünï", "back\\slash", "new\nline", "9x"),
]
STRINGS = ["", "x", "it's", "a b", "2020-01-01T00:00:00Z", 'dou"ble', "\\", "é\n", "/re/"]
REGEXES = ["/x/", "/^a.*$/", r"/a\/b/", "/[a-z]+/", "/(a|b)/", "//", "/ /", r"/\d/"]
SPANS = ["1s", "10m", "2h", "1d", "1w", "5ms", "7u", "3ns", "1h30m", "0s", "90m", "1µ"]
NUMBERS = ["0", "1", "42", "1.5", "0.25", ".5", "9223372036854775808", "100.0", "007"]
FUNCTIONS = ["mean", "COUNT", "max", "percentile", "top", "derivative", "distinct", "now", "time"]
COMPARING = ["=", "!=", "<>", "<", "<=", ">", ">="]
ADDING, MULTIPLYING = ["+", "-", "|", "^"], ["*", "/", "%", "&"]


class Statements:
    """Generates parts of InfluxQL; each method returns a random text of the kind that it names."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kinds: list[Callable[[], str]] = [
            *[self.select] * 12,
            *(self.explain, self.delete, self.drop_series, self.continuous_query),
            *(self.users, self.grants, self.databases, self.policies, self.subscriptions),
            *(self.drops, self.shows, self.show_data, self.show_data, self.cardinality),
        ]

    # ---- random choices

    def one(self, choices: Sequence[str]) -> str:
        return self.random.choice(choices)

    def maybe(self, text: Callable[[], str], chance: float = 0.3) -> str:
        return text() if self.random.random() < chance else ""

    def some(self, text: Callable[[], str], separator: str = ", ", most: int = 3) -> str:
        return separator.join(text() for _ in range(self.random.randint(1, most)))

    # ---- words

    def name(self) -> str:
        name = self.one(NAMES)
        quoted = quote_identifier(name)
        if quoted == name and self.random.random() < 0.2:
            return f'"{name}"'
        return quoted

    def string(self) -> str:
        return quote_string(self.one(STRINGS))

    def span(self) -> str:
        return self.one(SPANS)

    def regex(self) -> str:
        return self.one(REGEXES)

    def number(self) -> str:
        return str(self.random.randint(0, 50))

    # ---- expressions

    def expression(self, depth: int = 0, *, conditional: bool = True) -> str:
        if depth > 3 or self.random.random() < 0.35:
            return self.operand(depth)
        left = self.expression(depth + 1, conditional=conditional)
        kind = self.random.random()
        if conditional and kind < 0.25:
            return f"{left} {self.one(['AND', 'OR', 'and'])} {self.expression(depth + 1)}"
        if conditional and kind < 0.5:
            return f"{left} {self.one(COMPARING)} {self.expression(depth + 1)}"
        if conditional and kind < 0.6:
            return f"{left} {self.one(['=~', '!~'])} {self.regex()}"
        op = self.one(ADDING + MULTIPLYING)
        return f"{left} {op} {self.expression(depth + 1, conditional=conditional)}"

    def operand(self, depth: int) -> str:
        choices: list[Callable[[], str]] = [
            *[lambda: self.name() or "x"] * 3,
            self.reference,
            self.string,
            lambda: self.one(NUMBERS),
            self.span,
            lambda: self.one(["true", "FALSE", "*", "*::field", "*::tag"]),
            lambda: f"({self.expression(depth + 1, conditional=False)})",
            lambda: f"{self.one(FUNCTIONS)}({self.maybe(lambda: self.arguments(depth), 0.9)})",
            lambda: self.one("-+") + self.one([*NUMBERS, "x", "(x)", "f(x)", "5m"]),
            lambda: f"DISTINCT {self.name()}",
        ]
        return self.random.choice(choices)()

    def reference(self) -> str:
        path = self.some(self.name, ".")
        types = ["", "::float", "::integer", "::string", "::boolean", "::field", "::tag"]
        return path + self.one(types)

    def arguments(self, depth: int) -> str:
        def argument() -> str:
            if self.random.random() < 0.15:
                return self.regex()
            return self.expression(depth + 2, conditional=False)

        return self.some(argument)

    # ---- clauses

    def measurement(self) -> str:
        path = self.one(
            ["", f"{self.name()}.", f"{self.name()}.{self.name()}.", f"{self.name()}.."]
        )
        return path + (self.regex() if self.random.random() < 0.2 else self.name())

    def source(self, depth: int) -> str:
        if depth < 2 and self.random.random() < 0.15:
            return f"({self.select(depth + 1)})"
        return self.measurement()

    def on(self) -> str:
        return self.maybe(lambda: f" ON {self.name()}", 0.4)

    def from_(self) -> str:
        return self.maybe(lambda: f" FROM {self.some(self.measurement, most=2)}", 0.5)

    def where(self) -> str:
        return self.maybe(lambda: f" WHERE {self.expression()}", 0.4)

    def group_by(self) -> str:
        def dimension() -> str:
            choices = [self.name(), f"time({self.span()})", "*", self.regex(), self.expression(2)]
            return self.one(choices)

        return self.maybe(lambda: f" GROUP BY {self.some(dimension, ',')}")

    def order_by(self) -> str:
        ways = ["time", "time DESC", "ASC", "DESC", "time ASC"]
        return self.maybe(lambda: f" ORDER BY {self.one(ways)}", 0.2)

    def limits(self, words: Sequence[str] = ("LIMIT", "OFFSET")) -> str:
        return "".join(self.maybe(lambda w=word: f" {w} {self.number()}", 0.2) for word in words)  # type: ignore[misc]

    def key(self) -> str:
        names = self.some(self.name)
        tests = [f"= {self.name()}", f"!= {self.name()}", f"=~ {self.regex()}", f"IN ({names})"]
        return " WITH KEY " + self.one(tests)

    # ---- statements

    def statement(self) -> str:
        return self.random.choice(self.kinds)()

    def select(self, depth: int = 0, target: str = "") -> str:
        def field() -> str:
            if self.random.random() < 0.1:
                return self.regex()
            alias = self.maybe(lambda: f" AS {self.name()}", 0.2)
            return self.expression(1, conditional=False) + alias

        fills = ["null", "none", "previous", "linear", "0", "-1", "1.5", "100"]
        zones = ["UTC", "Europe/Berlin", "America/New_York"]
        into = target or self.maybe(lambda: f" INTO {self.target()}", 0.1 if not depth else 0)
        return (
            f"SELECT {self.some(field)}{into}"
            f" FROM {self.some(lambda: self.source(depth), most=2)}"
            f"{self.where()}{self.group_by()}"
            f"{self.maybe(lambda: f' fill({self.one(fills)})', 0.15)}{self.order_by()}"
            f"{self.limits(('LIMIT', 'OFFSET', 'SLIMIT', 'SOFFSET'))}"
            f"{self.maybe(lambda: f' tz({quote_string(self.one(zones))})', 0.05)}"
        )

    def target(self) -> str:
        return self.one([self.some(self.name, "."), f"{self.name()}.{self.name()}.:MEASUREMENT"])

    def explain(self) -> str:
        return f"EXPLAIN {self.maybe(lambda: 'ANALYZE ')}{self.select()}"

    def delete(self) -> str:
        return self.one(
            [f"DELETE FROM {self.name()}{self.where()}", f"DELETE WHERE {self.expression()}"]
        )

    def drop_series(self) -> str:
        rest = [f"FROM {self.name()}{self.where()}", f"WHERE {self.expression()}"]
        return f"DROP SERIES {self.one(rest)}"

    def continuous_query(self) -> str:
        resample = [f" RESAMPLE EVERY {self.span()}", f" RESAMPLE FOR {self.span()}", "", ""]
        body = self.select(1, f" INTO {self.target()}")
        simple = f"SELECT mean(x) INTO y FROM z GROUP BY time({self.span()})"
        return (
            f"CREATE CONTINUOUS QUERY {self.name()} ON {self.name()}{self.one(resample)}"
            f" BEGIN {self.one([body, simple])} END"
        )

    def users(self) -> str:
        name = self.name()
        create = f"CREATE USER {name} WITH PASSWORD {self.string()}"
        return self.one(
            [create, f"DROP USER {name}", f"SET PASSWORD FOR {name} = {self.string()}",
             "SHOW USERS", f"SHOW GRANTS FOR {name}"]
        )  # fmt: skip

    def grants(self) -> str:
        privilege = self.one(["READ", "WRITE", "ALL", "ALL PRIVILEGES", "read"])
        database, user = self.name(), self.name()
        return self.one(
            [f"GRANT {privilege} ON {database} TO {user}", f"GRANT ALL TO {user}",
             f"REVOKE {privilege} ON {database} FROM {user}", f"REVOKE ALL PRIVILEGES FROM {user}"]
        )  # fmt: skip

    def options(self) -> str:
        duration = self.maybe(lambda: f" DURATION {self.one([*SPANS, 'INF'])}", 0.6)
        replication = self.maybe(lambda: f" REPLICATION {self.random.randint(1, 5)}", 0.6)
        shard = self.maybe(lambda: f" SHARD DURATION {self.span()}", 0.4)
        return duration + replication + shard

    def databases(self) -> str:
        options = self.options() + self.maybe(lambda: f" NAME {self.name()}", 0.5)
        create = f"CREATE DATABASE {self.name()}" + (f" WITH{options}" if options else "")
        return self.one([create, f"DROP DATABASE {self.name()}", "SHOW DATABASES"])

    def policies(self) -> str:
        where = f"{self.name()} ON {self.name()}"
        default = self.maybe(lambda: " DEFAULT")
        altered = (self.options() + default) or " DEFAULT"
        return self.one(
            [f"CREATE RETENTION POLICY {where} DURATION {self.span()} REPLICATION 1{default}",
             f"ALTER RETENTION POLICY {where}{altered}", f"DROP RETENTION POLICY {where}",
             f"SHOW RETENTION POLICIES{self.on()}"]
        )  # fmt: skip

    def newer(self) -> str:
        """Returns a statement of InfluxDB 1.12 alone."""
        limits = self.one(
            [f" FUTURE LIMIT {self.span()}", f" PAST LIMIT {self.span()}",
             f" FUTURE LIMIT {self.span()} PAST LIMIT {self.span()}"]
        )  # fmt: skip
        where = f"{self.name()} ON {self.name()}"
        on = self.one([f"{self.name()}.{self.name()}", "*", "*.*", f"{self.name()}.*"])
        return self.one(
            [f"CREATE RETENTION POLICY {where} DURATION {self.span()} REPLICATION 1{limits}",
             f"ALTER RETENTION POLICY {where}{limits}", f"EXPLAIN VERBOSE {self.select()}",
             f"CREATE DATABASE {self.name()} WITH DURATION {self.span()}{limits}",
             f"SHOW MEASUREMENTS ON {on}{self.where()}{self.limits()}",
             f"DELETE FROM {self.name()}.{self.name()}{self.where()}"]
        )  # fmt: skip

    def subscriptions(self) -> str:
        where = f"{self.name()} ON {self.name()}.{self.name()}"
        to = f"DESTINATIONS {self.one(['ALL', 'ANY'])} {self.some(self.string)}"
        return self.one([f"CREATE SUBSCRIPTION {where} {to}", f"DROP SUBSCRIPTION {where}"])

    def drops(self) -> str:
        return self.one(
            [f"DROP MEASUREMENT {self.name()}", f"DROP SHARD {self.number()}",
             f"DROP CONTINUOUS QUERY {self.name()} ON {self.name()}",
             f"KILL QUERY {self.number()}{self.on()}"]
        )  # fmt: skip

    def shows(self) -> str:
        module = self.maybe(lambda: f" FOR {self.string()}", 0.5)
        return self.one(
            ["SHOW QUERIES", "SHOW SHARDS", "SHOW SHARD GROUPS", "SHOW CONTINUOUS QUERIES",
             "SHOW SUBSCRIPTIONS", f"SHOW STATS{module}", f"SHOW DIAGNOSTICS{module}"]
        )  # fmt: skip

    def show_data(self) -> str:
        on, from_, where, order, limits = (
            self.on(), self.from_(), self.where(), self.order_by(), self.limits()
        )  # fmt: skip
        test = [f" WITH MEASUREMENT = {self.measurement()}", f" WITH MEASUREMENT =~ {self.regex()}"]
        more = self.limits(("SLIMIT", "SOFFSET"))
        return self.one(
            [f"SHOW MEASUREMENTS{on}{self.maybe(lambda: self.one(test))}{where}{order}{limits}",
             f"SHOW SERIES{on}{from_}{where}{order}{limits}",
             f"SHOW FIELD KEYS{on}{from_}{order}{limits}",
             f"SHOW TAG KEYS{on}{from_}{where}{order}{limits}{more}",
             f"SHOW TAG VALUES{on}{from_}{self.key()}{where}{order}{limits}"]
        )  # fmt: skip

    def cardinality(self) -> str:
        what = self.one(["SERIES", "MEASUREMENT", "FIELD KEY", "TAG KEY", "TAG VALUES"])
        exact = self.maybe(lambda: " EXACT", 0.5)
        key = self.key() if what == "TAG VALUES" else ""
        tail = f"{self.where()}{self.group_by()}{self.limits()}"
        return f"SHOW {what}{exact} CARDINALITY{self.on()}{self.from_()}{key}{tail}"


_PIECE = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d[\w.]*|\s+|::|[<>!=]=|=~|!~|<>|.""",
    re.DOTALL,
)
_ODD = [
    *("é", "@", "#", "'", '"', "\\", "$", "$x", "/", "/*", "*/", "--", "\n", "\t", "{", "µ"),
    *("::", ":", ".", ",", "(", ")", ";", "=", "=~", "0x1", "1e5", "\r\n", "`", "1x", "/* c */"),
]


def mutated(text: str, random: random.Random) -> str:
    """Returns *text* with one to three small errors."""
    pieces = _PIECE.findall(text)
    for _ in range(random.randint(1, 3)):
        if not pieces:
            break
        at = random.randrange(len(pieces))
        match random.randrange(7):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, pieces[at])
            case 2:
                other = random.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3:
                piece = pieces[at]
                cut = random.randrange(max(len(piece), 1))
                pieces[at] = piece[:cut] + random.choice(["", "x", "é"]) + piece[cut + 1 :]
            case 4:
                pieces.insert(at, random.choice(_ODD))
            case 5:
                del pieces[at:]
            case _:
                pieces.insert(at, " ")
    return "".join(pieces)
