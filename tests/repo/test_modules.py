"""What every module keeps to: its size, its tests, and what it may not call."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import pytest
from tests.support.tree import ROOT, SOURCE, modules, name_of, tracked

MAX_LINES = 600
MEDIAN_LINES = 250
CONTRACT_LINES = 1000

# What starts a program, wherever it is found in the standard library.
STARTERS = re.compile(
    r"(subprocess\.\w+|asyncio\.create_subprocess_\w+|os\.(exec|spawn|posix_spawn)\w*|os\.system"
    r"|os\.popen|pty\.spawn)"
)
MAY_START_PROGRAMS = (
    "src/ironclaw/sandbox/",
    "src/ironclaw/image/",
    "src/ironclaw/airlock/starter.py",  # the zygote, before there is anything hostile to parse
    "src/ironclaw/models/host/starter.py",  # the one process that holds provider keys
    "src/ironclaw/cli/house.py",  # becomes the keeper, for `up --foreground`
    "src/ironclaw/cli/editor.py",  # the editor that a person has named, at their terminal
    "src/ironclaw/prove/probe/",  # runs in a box, and tries to
)
MAY_PRINT = (
    "src/ironclaw/cli/render.py",
    "src/ironclaw/cli/doctor/box.py",  # a child's one JSON object, for its parent
)
PRINTERS = {"print", "typer.echo", "click.echo", "rich.print", "sys.stdout.write"}
NEVER = {"eval", "exec", "__import__", "breakpoint"}
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "manager.py", "common.py", "misc.py"}


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def lines_of_code(path: Path) -> set[int]:
    """Numbers of the lines that do something: no docstring, no comment, no blank."""
    return {
        line
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.stmt)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for line in (
            range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if not hasattr(node, "body")
            else (node.lineno,)
        )
    }


def functions(path: Path) -> list[str]:
    """Names of a module's functions, but for those that a Protocol says others have to have."""
    tree = ast.parse(path.read_text())
    promised = {
        id(function)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
        for function in node.body
        if isinstance(function, ast.FunctionDef)
        and all(
            isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
            for step in function.body
        )
    }
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and id(node) not in promised
    ]


def calls(path: Path) -> list[tuple[str, int]]:
    """Dotted names of what a module calls, with line numbers."""
    return [
        (ast.unparse(node.func), node.lineno)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def test_a_module_is_one_idea() -> None:
    """No module is longer than people read, or named after nothing."""
    assert [name_of(path) for path in modules() if lines(path) > MAX_LINES] == []
    assert [name_of(path) for path in modules() if path.name in FORBIDDEN_NAMES] == []


def test_modules_are_short() -> None:
    """Half of the modules are shorter than the house's measure."""
    assert statistics.median(lines(path) for path in modules()) < MEDIAN_LINES


def test_the_seam_can_be_read_in_one_sitting() -> None:
    """All of what may cross the wall is under a thousand lines, prose and blanks not counted."""
    seam = [path for path in modules() if path.is_relative_to(SOURCE / "ironclaw_contract")]

    total = sum(len(lines_of_code(path)) for path in seam)

    assert total < CONTRACT_LINES, f"ironclaw_contract has {total} lines"


@pytest.mark.parametrize("package", ["ironclaw/domain", "ironclaw_contract"])
def test_each_module_that_decides_has_tests(package: str) -> None:
    """Each module with functions in domain and contract has a test file of its own."""
    folder = ROOT / "tests" / "unit" / package.removeprefix("ironclaw/")
    missing = [
        name_of(path)
        for path in modules()
        if path.parent == SOURCE / package
        and functions(path)
        and not (folder / f"test_{path.name}").exists()
    ]

    assert missing == []


def test_only_sandbox_and_image_start_programs() -> None:
    """A call that starts a program is in one of the two packages made for it, or the zygote's."""
    started = [
        f"{name_of(path)}:{line}: {name}"
        for path in modules()
        if not name_of(path).startswith(MAY_START_PROGRAMS)
        for name, line in calls(path)
        if STARTERS.fullmatch(name)
    ]

    assert started == []


def test_one_place_prints() -> None:
    """What people see goes through the renderer, which shows control characters escaped."""
    printed = [
        f"{name_of(path)}:{line}: {name}"
        for path in modules()
        if name_of(path) not in MAY_PRINT
        for name, line in calls(path)
        if name in PRINTERS
    ]

    assert printed == []


def test_no_code_is_made_of_text() -> None:
    """Nothing is evaluated, and no module is imported by a name that was computed."""
    made = [
        f"{name_of(path)}:{line}: {name}"
        for path in modules()
        for name, line in calls(path)
        if name in NEVER
    ]

    assert made == []


def test_exceptions_to_the_linters_name_their_rule() -> None:
    """A `noqa` or `type: ignore` says which rule it sets aside; ruff and mypy check the rest."""
    bare = [
        f"{name_of(path)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*noqa\s*($|[^:\s])|#\s*type:\s*ignore\s*($|[^\[\s])", line)
    ]

    assert bare == []


def test_no_test_is_skipped() -> None:
    """Nothing is skipped or expected to fail: a missing program is a failure."""
    forbidden = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b|unittest\.skip")
    here = Path(__file__)
    found = [
        f"{name_of(path)}:{number}"
        for path in tracked()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "tests") and path != here
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if forbidden.search(line)
    ]

    assert found == []
