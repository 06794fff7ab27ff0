"""The base: the distribution's own files, from the mirrors that apt of this machine already uses.

mmdebstrap fetches and checks the packages (apt verifies the archive's signatures) and unpacks them
without running anything of theirs. Works as root and as an ordinary user. No mirror's name gets
into the image: it is put together from single files, and lists of sources are not among them.
"""

from __future__ import annotations

import asyncio
import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.image.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGES: Final = ("base-files", "ca-certificates", "libc6")
_TIMEOUT_S: Final = 600.0
_HINT: Final = "Check that `apt-get update` works on this machine, then try again."
_WANTED: Final = re.compile(
    r"\A\./(?:usr/)?(?:lib(?:64)?/.*\.so[.0-9]*|lib/os-release"
    r"|share/ca-certificates/.*\.crt|share/doc/[^/]+/copyright|lib64|lib)\Z"
)
_DEB: Final = re.compile(r"\A\./var/cache/apt/archives/([^_/]+)_([^_/]+)_[^_/]+\.deb\Z")
_KEPT_OPTIONS: Final = re.compile(
    r"\AAcquire::(?:https?::Proxy|Check-Valid-Until|Check-Date) \"[^\"]*\";\Z"
)


class BaseTree(NamedTuple):
    """Distribution files below `root`, and the versions they are from."""

    root: Path
    parts: tuple[str, ...]


async def candidate_versions() -> str:
    """Say which versions apt would fetch now, as text; for the build cache. Fetches nothing."""
    out = await run(
        ["apt-cache", "policy", *PACKAGES], timeout_s=30, code=Code.HOST_UNSUITED, hint=_HINT
    )
    lines = out.stdout.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if line[:1].isalnum() or "Candidate" in line)


async def fetch_base(work: Path) -> BaseTree:
    """Fetch the base into `work`.

    Raises:
        HostError: `UNAVAILABLE`, the mirror could not be reached or failed a signature check.
    """
    codename, sources = await asyncio.to_thread(_prepare, work)
    options = [f"--aptopt={line}" for line in await _apt_options()]
    archive = work / "base.tar"
    await run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            # The package files stay in the archive, because their names say the versions.
            "--skip=essential/unlink,cleanup/apt",
            f"--include={','.join(PACKAGES)}",
            *options,
            codename,
            str(archive),
            str(sources),
        ],
        timeout_s=_TIMEOUT_S,
        code=Code.UNAVAILABLE,
        hint=_HINT,
    )
    return await asyncio.to_thread(extract_base, archive, work / "base")


def extract_base(archive: Path, root: Path) -> BaseTree:
    """Take the files that an image may need out of the archive.

    Links are kept as links and resolved later as if `root` were `/`; ids and modes do not matter.
    """
    root.mkdir()
    parts: list[str] = []
    with tarfile.open(archive, "r|") as stream:
        for member in stream:
            deb = _DEB.match(member.name)
            if deb is not None and deb[1] in PACKAGES:
                parts.append(f"{deb[1]}={deb[2].replace('%3a', ':')}")
            if _WANTED.match(member.name) is None:
                continue
            place = root / member.name
            if member.issym():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(member.linkname)
            elif member.isreg():
                place.parent.mkdir(parents=True, exist_ok=True)
                source = stream.extractfile(member)
                place.write_bytes(source.read() if source is not None else b"")
    archive.unlink()
    return BaseTree(root, tuple(sorted(parts)))


def _prepare(work: Path) -> tuple[str, Path]:
    codename = _codename()
    sources = work / "sources.list"
    sources.write_text("".join(_sources(codename)), encoding="utf-8")
    return codename, sources


def _codename() -> str:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', text, re.MULTILINE)
    if found is None:
        raise HostError(
            Code.HOST_UNSUITED,
            "This distribution does not say which release it is.",
            hint="Use Debian or Ubuntu, or `container/build.sh` with a container tool.",
        )
    return found[1]


def _sources(codename: str) -> Iterable[str]:
    """Yield one-line sources of this release, made from what apt of this machine reads."""
    directory = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *sorted(directory.glob("*"))]
    lines: list[str] = []
    for path in files:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            lines += [line for block in re.split(r"\n\s*\n", text) for line in _block(block)]
        elif path.suffix == ".list":
            lines += [line.strip() for line in text.splitlines() if line.strip()[:4] == "deb "]
    suites = re.compile(rf"\s{re.escape(codename)}(?:-updates|-security)?\s")
    chosen = [line for line in lines if suites.search(line) and " main" in line]
    if not chosen:
        raise HostError(Code.HOST_UNSUITED, f"apt has no sources for {codename}.", hint=_HINT)
    return [f"{line}\n" for line in chosen]


def _block(block: str) -> list[str]:
    """Turn one deb822 block into one-line sources."""
    fields: dict[str, str] = {}
    for line in block.splitlines():
        found = re.match(r"([A-Za-z-]+):\s*(.*)", line)
        if found is not None:
            fields[found[1].lower()] = found[2]
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
        return []
    signed = fields.get("signed-by", "")
    option = f"[signed-by={signed}] " if signed.startswith("/") else ""
    return [
        f"deb {option}{uri} {suite} {fields.get('components', 'main')}"
        for uri in fields.get("uris", "").split()
        for suite in fields.get("suites", "").split()
    ]


async def _apt_options() -> list[str]:
    """Return the proxy and clock settings of this machine's apt: mmdebstrap starts without them."""
    out = await run(["apt-config", "dump"], timeout_s=30, code=Code.HOST_UNSUITED, hint=_HINT)
    lines = out.stdout.decode(errors="replace").splitlines()
    return [line for line in lines if _KEPT_OPTIONS.match(line)]
