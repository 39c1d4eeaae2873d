"""The layers of each package: files import only from lower layers, without circular imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from support.imported_names import import_nodes

ROOT = Path(__file__).parent.parent.parent
# The lowest layer first. A layer is a folder or a file of the package.
LAYERS = {
    "server/headgate_server": """config telemetry http formats background upstream auth gateway
        query validation configured_engine server_status prepared_store app_context api console
        application serving""",
    "engine/headgate_engine": """errors model unsupported_sources
        required_privileges passwords stores changes statement_changes no_op linking provisioning
        queries administration audit_entry audit_filter authorization accounts authentication
        engine async_engine declared_state explanation testing version""",
    "grammar/headgate_grammar": "generational_cache text ast parsing tools",
}
PACKAGES = (*LAYERS, "shell/headgate_shell", "shell/headgate")


def modules(package: str) -> dict[str, Path]:
    """Returns the files of *package* by dotted name; `__init__.py` has its folder's name."""
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        name = ".".join(path.relative_to(ROOT / package).with_suffix("").parts)
        found[name.removesuffix("__init__").rstrip(".")] = path
    return {name: path for name, path in found.items() if name}


def imported(package: str) -> dict[str, set[str]]:
    """Returns for each file of *package* the files of the same package that it imports."""
    known = modules(package)
    package_name = Path(package).name
    found: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for node in import_nodes(path):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            first, _, module = node.module.partition(".")
            if first == package_name:
                inside = {f"{module}.{alias.name}".lstrip(".") for alias in node.names}
                found[name] |= (inside & known.keys()) or ({module} & known.keys())
        found[name].discard(name)
    return found


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_down(package: str) -> None:
    layers = LAYERS[package].split()
    graph = imported(package)
    unnamed = {name for name in graph if name.partition(".")[0] not in layers}
    assert not unnamed, f"name the layer of {sorted(unnamed)} in LAYERS"

    def layer(name: str) -> int:
        return layers.index(name.partition(".")[0])

    upward = {
        f"{name} > {other}"
        for name, others in graph.items()
        for other in others
        if layer(other) > layer(name)
    }
    assert not sorted(upward)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_files_are_in_a_circle(package: str) -> None:
    graph = imported(package)
    assert any(graph.values())
    TopologicalSorter(graph).prepare()  # raises CycleError with the files of a circular import
