"""Who was started by a process, on kernels that list children and on others."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid` now; none when it is gone.

    Source:
        proc(5): `/proc/<pid>/task/<tid>/children`, or the fourth field of every `stat`.
    """
    return _finder()(pid)


def descendants(pid: int) -> list[int]:
    """The same with theirs. Exact only for as long as none of them starts another."""
    born = _finder()
    found: list[int] = []
    parents = [pid]
    while parents:
        young = born(parents.pop())
        parents += young
        found += young
    return found


def threads(pid: int) -> Iterator[str]:
    """The directories of a process's threads; none when it is gone."""
    try:
        names = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - hot
    except (FileNotFoundError, ProcessLookupError):
        return
    for name in names:
        yield f"/proc/{pid}/task/{name}"


def read(path: str) -> str:
    """A file of `/proc`; empty when what it is of is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _finder() -> Callable[[int], list[int]]:
    return _listed if lists_children() else _scanned()


@functools.cache
def lists_children() -> bool:
    """Whether the kernel says which children a thread has (CONFIG_PROC_CHILDREN)."""
    return Path("/proc/thread-self/children").exists()


def _listed(pid: int) -> list[int]:
    return [int(word) for thread in threads(pid) for word in read(f"{thread}/children").split()]


def _scanned() -> Callable[[int], list[int]]:
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - hot
        fields = read(f"/proc/{name}/stat").rpartition(")")[2].split() if name.isdigit() else ()
        if len(fields) > 1:
            found.setdefault(int(fields[1]), []).append(int(name))
    return lambda pid: found.get(pid, [])
