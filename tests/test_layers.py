"""The layers of the server, and which imports do not keep to them yet.

A file imports files of its own layer and of those below. The exceptions are named one by one:
a new one fails, and so does one that is gone and still stands here.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SERVER = Path(__file__).parent.parent / "server" / "headgate_server"

# The lowest layer first; a name with a star stands for the whole folder.
LAYERS = {
    "config": """options settings configuration nearest textfile secretfiles foreign jwt.settings
        gateway.settings gateway.flags jwt.paths""",
    "telemetry": "telemetry.* log_message logs metrics metricsfolder tally measured tracing",
    "http": """http.* network proxies origin text pairs headers form compression call request reply
        outbox""",
    "formats": "formats.*",
    "background": "pool changes recorder",
    "auth": """auth.* credentials login known_logins setup tokens throttle pace
        gateway.tokens jwt.*""",
    "upstream": """failures gateway.wire gateway.client gateway.websocket gateway.upstream
        gateway.influx gateway.victoria gateway.line gateway.catalogue gateway.arguments
        gateway.relay gateway.buffers gateway.probe gateway.snappy gateway.labels
        gateway.headers""",
    "gateway": """gateway.errors gateway.path gateway.table gateway.tenant
        gateway.judge
        gateway.limits gateway.mounted gateway.gateway gateway gateway.own_label
        gateway.endpoints gateway.visible""",
    "query": "parameters prepared soon work gateway.forwarding stream",
    "validation": "gateway.check validation",
    "context": "service",
    "api": """backend refusals gateway.refused answers query at_once denied write remote ping
        whoami openapi
        gateway.proxy gateway.tail gateway.auth gateway.asked routes""",
    "app": "app",
    "serving": "serving.* title",
    "commands": "cli tokentool synctool",
}

# Imports that go upward still: this list only becomes shorter.
UPWARD = ()
# Files that are in a circle of imports still.
CIRCULAR = ""


def modules() -> dict[str, Path]:
    """Each file of the server by its dotted name; a folder's front door by the folder's."""
    found = {}
    for path in SERVER.rglob("*.py"):
        name = ".".join(path.relative_to(SERVER).with_suffix("").parts)
        found[name.removesuffix("__init__").rstrip(".")] = path
    return {name: path for name, path in found.items() if name}


def layer_of(name: str) -> int:
    """The number of the layer of *name*, counted from the lowest."""
    folder = name.partition(".")[0] + ".*"
    for wanted in ((name,), (folder, name + ".*")):
        for number, names in enumerate(LAYERS.values()):
            if any(one in names.split() for one in wanted):
                return number
    raise AssertionError(f"{name} belongs to no layer: name it in LAYERS")


def imported() -> dict[str, set[str]]:
    """What each file imports of the server's others."""
    known = modules()
    found: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(SERVER.name):
                package = (node.module or "").removeprefix(SERVER.name).lstrip(".")
                inside = {f"{package}.{alias.name}".lstrip(".") for alias in node.names}
                found[name] |= (inside & known.keys()) or ({package} & known.keys())
        found[name].discard(name)
    return found


def test_only_the_imports_that_are_named_here_go_upward() -> None:
    upward = {
        f"{name} > {other}"
        for name, others in imported().items()
        for other in others
        if layer_of(other) > layer_of(name)
    }
    assert sorted(upward) == sorted(UPWARD)


def test_only_the_files_that_are_named_here_are_in_a_circle() -> None:
    graph, circular = imported(), set[str]()
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = set(error.args[1])
            circular |= circle
            # The circle becomes one file, so that the next one shows.
            whole = min(circle)
            merged = set().union(*(graph.pop(name) for name in circle)) - circle
            graph = {
                name: {whole if other in circle else other for other in others}
                for name, others in graph.items()
            }
            graph[whole] = merged
        else:
            break
    assert sorted(circular) == sorted(CIRCULAR.split())
