"""What an image is made from, reduced to one key: the same key, the same image, nothing to build.

Asked before every start, so it has to be quick. Two programs know which packages would go in
(`apt-cache`, `dpkg-query`), and apt reads all its lists to say so: up to a second. Their answers
are kept beside the builds, for as long as no file that they are made of changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.image.base import candidate_versions
from ironclaw.image.layout import write_durable
from ironclaw.image.platform import this_machine
from ironclaw.image.process import run
from ironclaw.image.toolchain import HINT, Toolchain, find_toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES: Final = ("src/ironclaw_contract", "src/ironclaw_agent")
RECIPE: Final = "container"
_APT_SETTINGS: Final = Path("/etc/apt")
_APT_LISTS: Final = Path("/var/lib/apt/lists")
_DPKG_STATUS: Final = Path("/var/lib/dpkg/status")


class Versions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the package manager said, and what its files were like then."""

    state: str
    """Of `package_state`; "" is never kept."""
    python_dev: str
    """Version of the package that the static interpreter is from."""
    base: str
    """What apt would fetch for the base, as text."""


class Inputs(NamedTuple):
    """What an image is made from."""

    source: Path
    toolchain: Toolchain
    key: str
    """Digest of sources, recipe, toolchain and base versions."""
    versions: Versions


async def read_inputs(source: Path | None, *, kept: Path | None = None) -> Inputs:
    """Find sources and toolchain and reduce them to a key. Changes nothing.

    Args:
        source: The repository root; None finds it from where this package lies.
        kept: Where `keep_versions` left an earlier answer.

    Raises:
        UserError: `INVALID`, no sources there.
        HostError: `HOST_UNSUITED`, a tool is missing.
    """
    root = await asyncio.to_thread(find_source, source)
    toolchain = await asyncio.to_thread(find_toolchain)
    package = f"lib{toolchain.python.name}-dev"
    state = await asyncio.to_thread(package_state, package)
    versions = await asyncio.to_thread(_kept_versions, kept, state)
    if versions is None:
        versions = Versions(state, await _installed(package), await candidate_versions())
    toolchain = toolchain._replace(parts=(*toolchain.parts, f"{package}={versions.python_dev}"))
    key = await asyncio.to_thread(_key, root, toolchain, versions)
    return Inputs(root, toolchain, key, versions)


def keep_versions(versions: Versions, kept: Path) -> None:
    """Keep what the package manager said, for the next `read_inputs`. Does disk work."""
    data = msgspec.json.encode(versions)
    with contextlib.suppress(OSError):  # it only saves time
        if versions.state and not (kept.exists() and kept.read_bytes() == data):
            write_durable(kept, data)


def package_state(
    package: str,
    *,
    settings: Path = _APT_SETTINGS,
    lists: Path = _APT_LISTS,
    status: Path = _DPKG_STATUS,
) -> str:
    """Say what the package manager's answers depend on, without asking it.

    Args:
        package: Whose version is asked for.
        settings: apt's directory of settings.
        lists: apt's directory of lists.
        status: dpkg's list of what is installed.

    Returns:
        A digest of names, sizes and times of these files; "" where there are no lists in that
        place, and only apt itself knows what there is.
    """
    rows = [f"{package}\n"]
    there = [path.name for path in _files(lists)]
    if not any("_Packages" in name for name in there) or not status.is_file():
        return ""
    for path in (*settings.rglob("*"), *_files(lists), status):
        # A socket or a file that goes away meanwhile changes nothing of what apt says.
        with contextlib.suppress(OSError):
            facts = path.stat()
            rows.append(f"{path}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}\n")
    return hashlib.sha256("".join(sorted(rows)).encode()).hexdigest()


def find_source(source: Path | None) -> Path:
    """Find the repository root: as given, or above this package.

    Raises:
        UserError: `INVALID`, there is no recipe.
    """
    candidates = [source] if source is not None else list(Path(__file__).resolve().parents)
    for root in candidates:
        if all((root / name).is_dir() for name in (*SOURCES, RECIPE)):
            return root
    raise UserError(
        Code.INVALID,
        "The sources of the sandbox image are not here.",
        hint="Run it in the repository, or say where that is: `ironclaw image build --source DIR`.",
    )


def _files(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from (path for path in directory.iterdir() if path.name != "lock")


def _kept_versions(kept: Path | None, state: str) -> Versions | None:
    if kept is None or not state:
        return None
    try:
        found = msgspec.json.decode(kept.read_bytes(), type=Versions)
    except (OSError, ValueError):
        return None
    return found if found.state == state else None


async def _installed(package: str) -> str:
    query = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    return (await run(query, timeout_s=30, code=Code.HOST_UNSUITED, hint=HINT)).stdout.decode()


def _key(root: Path, toolchain: Toolchain, versions: Versions) -> str:
    hasher = hashlib.sha256()
    for path in _source_files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        hasher.update(f"{path.relative_to(root)}\0{content}\n".encode())
    machine = this_machine().oci
    hasher.update(
        f"{toolchain.fingerprint}\n{versions.python_dev}\n{versions.base}\n{machine}".encode()
    )
    return hasher.hexdigest()


def _source_files(root: Path) -> list[Path]:
    files = [
        path for name in (*SOURCES, RECIPE) for path in (root / name).rglob("*") if path.is_file()
    ]
    return sorted(path for path in files if "__pycache__" not in path.parts)
