"""What processes do with names of files: strace's log, read back as calls with whole paths.

A process is judged by the kernel's view of it, not by its own. `AIRLOCK_CALLS` is every call that
takes a name, and those that make a socket.
"""

# ruff: noqa: PTH118 - paths of another process's root are text

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CALLS = "%file,socket,connect,bind,fchdir,open_by_handle_at,open_tree,fsopen,move_mount"
STRACE = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "512", "-e", "signal=none")
_LINE = re.compile(r"\A(\d+)\s+(\w+)\((.*)\Z", re.DOTALL)
_AT = re.compile(r"\A(?:AT_FDCWD|-?\d+)<([^>]*)>[,)] *")
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"\A\d+\s+<\.\.\. \w+ resumed>(.*)\Z")
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SUN_PATH = re.compile(r'sun_path=(@?"(?:[^"\\]|\\.)*")')


class Call(NamedTuple):
    """One system call that names something."""

    name: str
    paths: tuple[str, ...]
    """Absolute, as the process sees them."""
    text: str
    """The rest of the line."""


def read_trace(file: Path) -> dict[int, list[Call]]:
    """Calls by process, in order; paths are made absolute from descriptors and `chdir`."""
    calls: dict[int, list[Call]] = {}
    cwd: dict[int, str] = {}
    begun: dict[str, str] = {}
    for shown in file.read_text("utf-8", "replace").splitlines():
        line, pid_text = shown, shown.partition(" ")[0]
        if line.endswith(_UNFINISHED):
            begun[pid_text] = line.removesuffix(_UNFINISHED)
            continue
        if match := _RESUMED.match(line):
            line = begun.pop(pid_text, "") + match[1]
        match = _LINE.match(line)
        if match is None:  # the end of a process
            continue
        pid, name, text = int(match[1]), match[2], match[3]
        paths = tuple(_paths(name, text, cwd.get(pid, "")))
        if name in {"chdir", "fchdir"} and paths:
            cwd[pid] = paths[0]
        calls.setdefault(pid, []).append(Call(name, paths, text))
    # What never came back was asked for all the same.
    for line in begun.values():
        if match := _LINE.match(line):
            pid = int(match[1])
            paths = tuple(_paths(match[2], match[3], cwd.get(pid, "")))
            calls.setdefault(pid, []).append(Call(match[2], paths, match[3]))
    return calls


def _paths(name: str, text: str, here: str) -> list[str]:
    if name == "socket":
        return []
    if name in {"bind", "connect"}:
        return [os.path.join(here, found[1].strip('"')) for found in _SUN_PATH.finditer(text)]
    found = []
    rest = text
    for _ in range(2 if name.startswith(("rename", "link", "symlink", "mount", "pivot")) else 1):
        base = here
        if match := _AT.match(rest):
            base, rest = match[1], rest[match.end() :]
            if name == "fchdir":
                return [base]
        named = _NAME.match(rest)
        if named is None:
            break
        rest = rest[named.end() :].lstrip(", ")
        found.append(os.path.normpath(os.path.join(base, named[1])) if named[1] else base)
    return found


def trace_zygote(monkeypatch: pytest.MonkeyPatch, place: Path) -> Path:
    """Let zygotes that are started from now on run under strace, and all that they fork.

    Returns:
        Where strace writes.
    """
    assert shutil.which("strace"), "strace is missing: ./run system --test"
    log, program = place / "trace", place / "traced-python"
    words = [*STRACE, "-e", f"trace={CALLS}", "-o", str(log), sys.executable]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(
        "ironclaw.airlock.starter.sys", SimpleNamespace(executable=str(program), path=sys.path)
    )
    return log


def strays(calls: list[Call], slots: list[Path]) -> list[str]:
    """Calls of an airlock or a sweep that name anything but its own slot.

    Before it has a root of its own it may name the slot it opens first; after that, the three
    directories in it. No file of a box may be opened in a way that follows a link.
    """
    known = [str(slot) for slot in slots]
    own = next((call.paths[0] for call in calls if call.name == "openat"), "")
    if own not in known:
        return [f"begins with {calls[0]}"]
    found = []
    roots = [own]
    for call in calls:
        if call.name == "pivot_root":
            roots = ["/in", "/out", "/run"]
        elif call.name == "socket" and "AF_UNIX" not in call.text:
            found.append(f"socket({call.text}")
        elif call.name == "openat" and "O_NOFOLLOW" not in call.text:
            found.append(f"follows: {call.text}")
        elif not all(_is_below(path, roots) for path in call.paths) and not _is_way_in(call):
            found.append(f"{call.name}({call.text}")
    return found


def _is_below(path: str, roots: list[str]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def _is_way_in(call: Call) -> bool:
    """Making the mount namespace private, binding an open directory, standing in the new root."""
    match call.name:
        case "mount":
            return call.text.startswith(('"none", "/", ', '"/proc/self/fd/', '"none", "'))
        case "umount2":
            return call.text.startswith('".", MNT_DETACH')
        case "chdir":
            return call.paths == ("/",)
        case "openat":
            return call.paths == ("/",) and "O_DIRECTORY" in call.text
        case _:
            return False


class Shelf(NamedTuple):
    """Directories `base`/NAME that a box can write, or what is at `tail` in each of them."""

    base: str
    tail: str = ""
    is_shared: bool = False
    """`base`/NAME itself is the host's; boxes have what is in it."""

    def below(self, path: str) -> str | None:
        """What of `path` comes after a box's directory: "" for itself, None for another path."""
        if not path.startswith(self.base + "/"):
            return None
        rest = path.removeprefix(self.base + "/").partition("/")[2]
        if self.is_shared:
            return rest or None
        if not self.tail:
            return rest
        first, _, more = rest.partition("/")
        return more if first == self.tail else None


_MAY_MAKE = {"mkdir", "rmdir", "chmod", "chown", "lchown", "fchownat", "mount", "umount2"}
"""What the core may do with a box's directory by its name: make it, mount it, remove it."""
_BY_PROCESS = re.compile(r"\A/proc/\d+/(root|cwd|fd/\d+)/.")


def looks(calls: list[Call], shelves: list[Shelf]) -> list[str]:
    """Calls of a core that look at, or into, what a box can write."""
    found = []
    for call in calls:
        for path in call.paths:
            inner = [shelf.below(path) for shelf in shelves]
            is_inside = any(rest for rest in inner if rest)
            is_look = "" in inner and not _is_made(call)
            if is_inside or is_look or _BY_PROCESS.match(path):
                found.append(f"{call.name}({call.text}")
    return found


def _is_made(call: Call) -> bool:
    is_lstat = call.name == "lstat" or (
        call.name == "newfstatat" and "AT_SYMLINK_NOFOLLOW" in call.text
    )
    return call.name in _MAY_MAKE or is_lstat
