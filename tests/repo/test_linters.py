"""The linters are tests: what they refuse does not go in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.tree import ROOT, SOURCE

LINTERS = {
    "ruff check": ("ruff", "check", "--no-cache", "."),
    "ruff format": ("ruff", "format", "--no-cache", "--check", "."),
    "mypy": ("mypy", "--no-error-summary"),
    "import-linter": ("lint-imports", "--no-cache"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", LINTERS)
def test_the_tree_passes(name: str, tmp_path: Path) -> None:
    """Each linter, as configured in pyproject.toml, has nothing to say."""
    program, *arguments = LINTERS[name]
    if name == "mypy":
        arguments.append(f"--cache-dir={tmp_path}")
    done = subprocess.run(
        [str(Path(sys.executable).parent / program), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=590,
    )

    assert done.returncode == 0, f"{name}:\n{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
