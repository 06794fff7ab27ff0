"""What the image must not hold: a file of it is a tool in the hands of whoever took the agent.

The unpacked image is walked on the host, where its digest was verified; the twin is a copy with one
such thing planted.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.prove.model import Check, Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ironclaw.prove.lab.opened import Lab

_NONE: Final = frozenset({"none"})
_SHELLS: Final = frozenset({"sh", "ash", "bash", "busybox", "csh", "dash", "ksh", "toybox", "zsh"})
_INTERPRETERS: Final = re.compile(
    r"\A(?:python|perl|ruby|node|lua|php|guile|awk|gawk|mawk)[\d.]*\Z"
)
_MANAGERS: Final = frozenset({"apk", "apt", "apt-get", "dnf", "dpkg", "pip", "pip3", "rpm", "yum"})
_TOOLS: Final = frozenset(
    {"curl", "gdb", "nc", "ncat", "socat", "ssh", "strace", "su", "sudo", "wget"}
)
_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PROGRAMS: Final = re.compile(r"\A(?:sandbox|(?:usr/)?lib(?:64)?/.*)\Z")
_READ_BYTES: Final = 32 * 1024 * 1024


class _Entry(NamedTuple):
    """One file of the image."""

    path: Path
    name: str
    """Relative to the root."""
    mode: int


class _Row(NamedTuple):
    """What must not be there, how to see it, and how to plant it."""

    claim: str
    is_bad: Callable[[_Entry], bool]
    plant: Callable[[Path], None]


def _base(entry: _Entry) -> str:
    return PurePosixPath(entry.name).name


def _file(entry: _Entry) -> bool:
    return stat.S_ISREG(entry.mode)


def _leads_out(entry: _Entry) -> bool:
    if not stat.S_ISLNK(entry.mode):
        return False
    target = PurePosixPath(entry.name).parent / str(entry.path.readlink()).lstrip("/")
    return os.path.normpath(target).startswith("..")


def _holds_key(entry: _Entry) -> bool:
    if not _file(entry):
        return False
    with entry.path.open("rb") as file:
        return _KEY.search(file.read(_READ_BYTES)) is not None


def _put(name: str, *, mode: int = 0o755, text: str = "x") -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        path = root / name
        path.write_text(text, encoding="ascii")
        path.chmod(mode)

    return plant


_ROWS: Final = {
    "shell": _Row("The image has no shell.", lambda e: _base(e) in _SHELLS, _put("usr/bash")),
    "interpreter": _Row(
        "The image has no interpreter.",
        lambda e: _INTERPRETERS.match(_base(e)) is not None and not stat.S_ISDIR(e.mode),
        _put("usr/python3.11"),
    ),
    "package_manager": _Row(
        "The image has no package manager.",
        lambda e: _base(e) in _MANAGERS and not stat.S_ISDIR(e.mode),
        _put("usr/apt-get"),
    ),
    "tools": _Row(
        "The image has no tool of an attacker.", lambda e: _base(e) in _TOOLS, _put("usr/nc")
    ),
    "source": _Row(
        "The image has no Python source or byte code.",
        lambda e: e.name.endswith((".py", ".pyc")),
        _put("usr/agent.py", mode=0o644),
    ),
    "programs": _Row(
        "Nothing in the image can be executed but /sandbox and the loader's libraries.",
        lambda e: _file(e) and e.mode & 0o111 != 0 and _PROGRAMS.match(e.name) is None,
        _put("usr/share/tool"),
    ),
    "setuid": _Row(
        "The image has no setuid or setgid file.",
        lambda e: _file(e) and e.mode & (stat.S_ISUID | stat.S_ISGID) != 0,
        _put("usr/su-like", mode=0o4755),
    ),
    "writable": _Row(
        "Nobody but the owner may write to a file of the image.",
        lambda e: _file(e) and e.mode & 0o022 != 0,
        _put("usr/open", mode=0o666),
    ),
    "special": _Row(
        "The image has no device, FIFO or socket.",
        lambda e: not (_file(e) or stat.S_ISDIR(e.mode) or stat.S_ISLNK(e.mode)),
        lambda root: os.mkfifo(root / "usr/pipe"),
    ),
    "links": _Row(
        "No link of the image leads out of it.",
        _leads_out,
        lambda root: (root / "usr/way-out").symlink_to("../../../etc/shadow"),
    ),
    "private_keys": _Row(
        "The image holds no private key.",
        _holds_key,
        _put("usr/id", mode=0o644, text="-----BEGIN OPENSSH PRIVATE KEY-----"),
    ),
}


def _control(name: str) -> str:
    return f"image recipe: {name.replace('_', ' ')}"


class _Image:
    """Implements `model.Stage`."""

    name = "image"
    checks = tuple(
        Check(
            f"image.{name}",
            row.claim,
            "walk every entry of the unpacked image",
            _control(name),
            _NONE,
            twin=f"planted-{name}",
        )
        for name, row in _ROWS.items()
    )
    twins = tuple(Twin(f"planted-{name}", (_control(name),)) for name in _ROWS)

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Walk the image, or a copy with something planted. Raises OSError."""
        if twin is None:
            return await asyncio.to_thread(_walked, lab.image.path)
        (name,) = (check.name.partition(".")[2] for check in checks)
        return await asyncio.to_thread(_planted, lab.image.path, lab.settings.state_dir, name)


def _planted(image: Path, work: Path, name: str) -> dict[str, str]:
    copy = work / f"image-{name}"
    shutil.copytree(image, copy, symlinks=True)
    try:
        for place in (copy, copy / "usr", copy / "usr/share"):
            place.chmod(0o755)
        _ROWS[name].plant(copy)
        return _walked(copy)
    finally:
        shutil.rmtree(copy)


def _walked(root: Path) -> dict[str, str]:
    entries = list(_entries(root))
    return {
        f"image.{name}": next((f"found: {e.name}" for e in entries if row.is_bad(e)), "none")
        for name, row in _ROWS.items()
    }


def _entries(root: Path) -> Iterator[_Entry]:
    for path in sorted(root.rglob("*")):
        yield _Entry(path, str(path.relative_to(root)), path.lstat().st_mode)


IMAGE: Final = _Image()
