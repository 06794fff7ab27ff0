"""The checkout, as the gates see it: its tracked files and its modules."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGES = ("ironclaw", "ironclaw_agent", "ironclaw_contract")

_TEXT = frozenset(
    [
        *("", ".c", ".h", ".cfg", ".css", ".html", ".in", ".js", ".json", ".md", ".py", ".sh"),
        *(".sql", ".toml", ".txt", ".Dockerfile", ".typed", ".yml", ".yaml"),
    ]
)


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Every file that belongs to the project: tracked, or new and not ignored."""
    listing = subprocess.run(
        # The checkout may be another user's; reading it is all that is done with it.
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    names = {name.decode() for name in listing.split(b"\0") if name}
    return tuple(path for name in sorted(names) if (path := ROOT / name).is_file())


def texts() -> list[Path]:
    """Tracked files that people read."""
    return [path for path in tracked() if path.suffix in _TEXT]


def modules() -> list[Path]:
    """Python modules that are shipped."""
    return [path for path in tracked() if path.suffix == ".py" and path.is_relative_to(SOURCE)]


def name_of(path: Path) -> str:
    """The path as people say it."""
    return str(path.relative_to(ROOT))
