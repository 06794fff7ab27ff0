# ruff: noqa: INP001 (build scripts, run by path)
"""Put the final root file system together, file by file, as one deterministic tar.

    python3 -I -B assemble.py --base DIR --sealed DIR --tar FILE

The image is an allow list: the sealed program, the libraries it is linked to, certificates, the
name of the distribution, licences, accounts and mount points. Whatever else the base has (shell,
package manager, interpreter, setuid programs) is never copied, so nothing has to be removed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import subprocess  # noqa: TID251  (a build script; it runs beside no daemon)
import tarfile
from pathlib import Path
from typing import NamedTuple

BOX_ID = 65532
MTIME = 1
"""Seconds; one time for every file, so that the time of the build changes nothing."""

ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/:/nonexistent\n"
    f"nonroot:x:{BOX_ID}:{BOX_ID}:nonroot:/workspace:/nonexistent\n",
    "etc/group": f"root:x:0:\nnonroot:x:{BOX_ID}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "memory": 0o755,
    "proc": 0o755,
    "queue": 0o755,
    "queue/in": 0o755,
    "queue/out": 0o755,
    "run": 0o755,
    "run/ironclaw": 0o755,
    "shared": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
    "workspace": 0o700,
}
PACKAGES = ("base-files", "ca-certificates", "libc6")
LIBRARY_DIR = "usr/lib/ironclaw"


class Entry(NamedTuple):
    """One file, directory or link of the image."""

    path: str
    mode: int
    content: bytes = b""
    link: str = ""
    owner: int = 0


class Base:
    """The tree that distribution files are taken from."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, path: str) -> Path:
        """Follow links as if the base were `/`.

        Raises:
            FileNotFoundError: There is no such file in the base.
        """
        todo, done = [part for part in path.split("/") if part], Path()
        for _ in range(256):
            if not todo:
                break
            part = todo.pop(0)
            if part == "..":
                done = done.parent
                continue
            here = self.root / done / part
            if here.is_symlink():
                target = str(here.readlink())
                if target.startswith("/"):
                    done = Path()
                todo = [piece for piece in target.split("/") if piece not in ("", ".")] + todo
            else:
                done = done / part
        found = self.root / done
        if not found.is_file():
            raise FileNotFoundError(path)
        return found

    def first(self, *paths: str) -> Path:
        """Find the first of several places that there is."""
        for path in paths[:-1]:
            with contextlib.suppress(FileNotFoundError):
                return self.find(path)
        return self.find(paths[-1])

    def read(self, path: str) -> bytes:
        """Return the content of one file."""
        return self.find(path).read_bytes()


def _needed(path: Path) -> list[str]:
    result = subprocess.run(  # noqa: S603  (a build script: a fixed program)
        ["/usr/bin/patchelf", "--print-needed", str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return result.stdout.split()


def _interpreter(path: Path) -> str:
    result = subprocess.run(  # noqa: S603  (a build script: a fixed program)
        ["/usr/bin/patchelf", "--print-interpreter", str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return result.stdout.strip()


def _program(sealed: Path, base: Base, multiarch: str) -> list[Entry]:
    """The sealed program, its own libraries, and what these need of the distribution."""
    entries = [Entry("sandbox", 0o755, (sealed / "sandbox").read_bytes())]
    pending = [sealed / "sandbox"]
    for path in sorted(sealed.glob("*.so")):
        entries.append(Entry(f"{LIBRARY_DIR}/{path.name}", 0o644, path.read_bytes()))
        pending.append(path)
    loader = _interpreter(sealed / "sandbox").lstrip("/")
    entries.append(Entry(loader, 0o755, base.read(loader)))
    seen = {Path(loader).name}
    while pending:
        for name in _needed(pending.pop()):
            if "/" in name or name in seen:
                continue
            seen.add(name)
            # The loader looks in /lib/<multiarch> before /usr/lib: one lookup less for each.
            found = base.first(f"lib/{multiarch}/{name}", f"usr/lib/{multiarch}/{name}")
            entries.append(Entry(f"lib/{multiarch}/{name}", 0o644, found.read_bytes()))
            pending.append(found)
    return entries


def _parts(parts: list[str]) -> bytes:
    """Say what the files come from, for scanners and for people."""
    rows = [dict(zip(("name", "version"), part.split("=", 1), strict=True)) for part in parts]
    rows.sort(key=lambda row: row["name"])
    return (json.dumps(rows, indent=1, sort_keys=True) + "\n").encode()


def certificates(base: Base) -> bytes:
    """Return the authorities of `ca-certificates` as one file, in the order of their names.

    Built from the package's own files: its set-up script, which would do this, never runs.
    """
    directory = base.root / "usr/share/ca-certificates"
    files = sorted(directory.rglob("*.crt"))
    return b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in files)


def entries(base: Base, sealed: Path, multiarch: str, parts: list[str]) -> list[Entry]:
    """List the whole image, sorted by path, each parent before its children."""
    found = _program(sealed, base, multiarch)
    found += [Entry(path, 0o644, text.encode()) for path, text in ACCOUNTS.items()]
    found.append(Entry("etc/os-release", 0o644, base.read("usr/lib/os-release")))
    found.append(Entry("etc/ssl/certs/ca-certificates.crt", 0o644, certificates(base)))
    found.append(Entry("usr/share/ironclaw/parts.json", 0o644, _parts(parts)))
    for package in PACKAGES:
        path = f"usr/share/doc/{package}/copyright"
        found.append(Entry(path, 0o644, base.read(path)))
    directories = dict(DIRECTORIES)
    for entry in found:
        for parent in Path(entry.path).parents:
            if str(parent) != ".":
                directories.setdefault(str(parent), 0o755)
    owned = {"workspace": BOX_ID}
    found += [
        Entry(f"{path}/", mode, owner=owned.get(path, 0)) for path, mode in directories.items()
    ]
    return sorted(found, key=lambda entry: entry.path.rstrip("/").split("/"))


def write_tar(rows: list[Entry], target: Path) -> str:
    """Write the entries; return the tar's SHA-256 in hex."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for row in rows:
            member = tarfile.TarInfo(row.path.rstrip("/"))
            member.mode, member.mtime = row.mode, MTIME
            member.uid = member.gid = row.owner
            if row.path.endswith("/"):
                member.type = tarfile.DIRTYPE
            member.size = len(row.content)
            archive.addfile(member, io.BytesIO(row.content))
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> None:
    """Read the command line and write the tar."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("base", "sealed", "tar"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--multiarch", required=True, help="for example x86_64-linux-gnu")
    parser.add_argument("--part", action="append", default=[], help="NAME=VERSION, for the list")
    options = parser.parse_args()
    rows = entries(Base(options.base), options.sealed, options.multiarch, options.part)
    print(write_tar(rows, options.tar))  # noqa: T201  (a script: this is its answer)


if __name__ == "__main__":
    main()
