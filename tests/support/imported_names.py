"""The import statements of source files, parsed once: several tests look at them."""

import ast
from functools import cache
from pathlib import Path


@cache
def import_nodes(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Returns the import statements anywhere in the file *path*."""
    tree = ast.parse(path.read_text("utf-8"))
    return tuple(it for it in ast.walk(tree) if isinstance(it, ast.Import | ast.ImportFrom))
