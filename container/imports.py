# ruff: noqa: INP001 (build scripts, run by path)
"""Which modules the sealed program needs: what is not in this list does not exist in a box.

Every import written in the program's own packages counts, those inside functions too; a clean
interpreter then imports them all and says what came with them.
"""

from __future__ import annotations

import ast
import subprocess  # noqa: TID251  (a build script; it runs beside no daemon)
from pathlib import Path
from typing import NamedTuple

_CHILD = """
import sys
sys.path[:0] = sys.argv[1:3]
for name in sys.argv[3:]:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
rows = []
for name, module in sys.modules.items():
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name == name:
        package = spec.submodule_search_locations is not None
        rows.append((name, spec.origin or "", package))
print(repr(rows))
"""


class Module(NamedTuple):
    """One imported module."""

    name: str
    origin: str
    """A file, `built-in` or `frozen`."""
    is_package: bool


class OwnModule(NamedTuple):
    """One source file of the program."""

    name: str
    path: Path
    package: str


def own_modules(root: Path, packages: list[str]) -> list[OwnModule]:
    """List the source files of `packages` below `root`, sorted."""
    rows = []
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = list(path.relative_to(root).with_suffix("").parts)
            if parts[-1] == "__init__":
                name = owner = ".".join(parts[:-1])
            else:
                name, owner = ".".join(parts), ".".join(parts[:-1])
            rows.append(OwnModule(name, path, owner))
    return rows


def _written_imports(module: OwnModule) -> set[str]:
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], base]).rstrip(".")
            found.add(base)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(module.path.read_text(encoding="utf-8")))
    return found


def closure(python: str, root: Path, library: Path, packages: list[str]) -> list[Module]:
    """Import the program in a clean interpreter and list all that is then loaded, sorted.

    Raises:
        subprocess.CalledProcessError: A module of the program cannot be imported.
    """
    own = own_modules(root, packages)
    names = {module.name for module in own}
    for module in own:
        names |= _written_imports(module)
    result = subprocess.run(  # noqa: S603  (a build script: the interpreter it was told)
        [python, "-I", "-S", "-B", "-OO", "-c", _CHILD, str(library), str(root), *sorted(names)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    rows = [Module(*row) for row in ast.literal_eval(result.stdout)]
    return sorted(row for row in rows if row.name != "__main__")
