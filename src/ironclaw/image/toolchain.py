"""What the sealed build needs of this machine, found and fingerprinted before it is used."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.image.platform import this_machine

HINT: Final = "apt-get install gcc python3-dev libexpat1-dev zlib1g-dev patchelf mmdebstrap"
_PROGRAMS: Final = ("gcc", "patchelf", "mmdebstrap", "apt-cache")
LIBRARIES: Final = {"apsw": "apsw-sqlite3mc", "msgspec": "msgspec"}
"""Packages that go into the program: import name -> distribution name."""


class Toolchain(NamedTuple):
    """Everything outside the sources that decides the program's bytes."""

    python: Path
    """The distribution's interpreter; its static library becomes the program."""
    libraries: dict[str, Path]
    """Import name -> package directory."""
    parts: tuple[str, ...]
    """`name=version` of what goes in."""
    fingerprint: str
    """Changes when any of it does."""


def find_toolchain() -> Toolchain:
    """Find interpreter, static library, compiler and the two binary packages.

    Raises:
        HostError: `HOST_UNSUITED`, naming what is missing and the command that installs it.
    """
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            raise _unsuited(f"{program} is not installed.")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = Path(f"/usr/bin/python{version}")
    multiarch = this_machine().multiarch
    config = Path(f"/usr/lib/python{version}/config-{version}-{multiarch}")
    archive = config / f"libpython{version}.a"
    if not python.is_file():
        # The binary packages of this environment fit no other version of the interpreter.
        raise _unsuited(f"The distribution has no python{version}, which this environment runs.")
    if not archive.is_file() or not (config / "config.c").is_file():
        raise _unsuited(f"The static library of python{version} is not installed.")
    libraries = {name: _package(name) for name in LIBRARIES}
    parts: list[str] = []
    hasher = hashlib.sha256()
    for name, distribution in LIBRARIES.items():
        parts.append(f"{distribution}={importlib.metadata.version(distribution)}")
        for path in sorted(libraries[name].glob("*.so")):
            hasher.update(hashlib.sha256(path.read_bytes()).digest())
    compiler = Path("/usr/bin/gcc").resolve()
    for path in (python.resolve(), archive, compiler):
        facts = path.stat()
        # A package update changes these; hashing 30 MB for every look would cost more than it says.
        hasher.update(f"{path}:{facts.st_size}:{facts.st_mtime_ns}".encode())
    hasher.update("\n".join(parts).encode())
    return Toolchain(python, libraries, tuple(parts), hasher.hexdigest())


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise _unsuited(f"The Python package {name} is not installed in this environment.")
    return Path(spec.origin).parent


def _unsuited(message: str) -> HostError:
    return HostError(Code.HOST_UNSUITED, message, hint=HINT)
