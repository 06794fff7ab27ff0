"""Builds the sandbox image here, without a registry: seal, base, assemble, pack, pin, unpack.

    sources + toolchain + base versions -> key -> known digest?       (some milliseconds)
      no: container/seal.py  ┐ at the same time
          mmdebstrap base    ┘
          container/assemble.py -> one tar -> layer, config, manifest -> image store
          pin the digest, unpack it, make it the default

`container/Dockerfile` runs the same two scripts, so both ways make the same tree.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError
from ironclaw.image import oci
from ironclaw.image.base import BaseTree, fetch_base
from ironclaw.image.inputs import SOURCES, Inputs, keep_versions, read_inputs
from ironclaw.image.layout import ImageStore, write_durable
from ironclaw.image.platform import this_machine
from ironclaw.image.process import run, scratch
from ironclaw.image.provision import admit_default
from ironclaw.image.rootfs import RootfsStore
from ironclaw.image.toolchain import HINT

if TYPE_CHECKING:
    from collections.abc import Callable

_SEAL_S: Final = 300.0
_CHUNK: Final = 1024 * 1024
_GZIP: Final = zlib.MAX_WBITS | 16


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: oci.Digest


async def build_image(
    state_dir: Path,
    *,
    progress: Callable[[str], None],
    source: Path | None = None,
    fresh: bool = False,
) -> str:
    """Build the image if its inputs changed, and make it the one that new boxes start from.

    Args:
        state_dir: The state directory.
        progress: Called with one line for each step.
        source: The repository root; None finds it from where this package lies.
        fresh: Build even if nothing changed.

    Returns:
        The manifest's digest; it is pinned.

    Raises:
        UserError: `INVALID`, no sources there.
        HostError: `HOST_UNSUITED`, `UNAVAILABLE`, `DISK_FULL`, `IMAGE_BROKEN`.
    """
    store = RootfsStore(state_dir)
    builds = state_dir / "images" / "builds"
    kept = builds / "versions.json"
    inputs = await read_inputs(source, kept=None if fresh else kept)
    note = builds / f"{inputs.key}.json"
    if not fresh:
        known = await asyncio.to_thread(_reuse, store, note)
        if known is not None:
            await asyncio.to_thread(keep_versions, inputs.versions, kept)
            progress(f"nothing changed: {known}")
            return known
    digest = await make_image(store.images, inputs, progress=progress)
    progress("verify and unpack")

    def finish() -> None:
        store.trust.pin(digest)
        admit_default(store, digest)
        builds.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durable(note, msgspec.json.encode(_Known(digest)))
        keep_versions(inputs.versions, kept)

    await asyncio.to_thread(finish)
    return digest


async def rebuild_digest(state_dir: Path, *, progress: Callable[[str], None]) -> str:
    """Build again from nothing, keep nothing, and return the digest that came out."""
    inputs = await read_inputs(None)
    async with scratch(state_dir, prefix=".rebuild-") as work:
        return await make_image(ImageStore(work), inputs, progress=progress)


async def make_image(images: ImageStore, inputs: Inputs, *, progress: Callable[[str], None]) -> str:
    """Build into a store, without looking at what is there; return the manifest's digest."""
    clock = SystemClock()
    await asyncio.to_thread(images.prepare)
    async with scratch(images.root, prefix=".build-") as work:
        started = clock.monotonic_s()
        progress("seal the agent; fetch the base from this machine's package mirror")
        try:
            async with asyncio.TaskGroup() as group:
                sealing = group.create_task(_seal(inputs, work), name="image/seal")
                fetching = group.create_task(fetch_base(work), name="image/base")
        except* IronClawError as errors:
            raise _first(errors) from None
        progress(f"put the root file system together ({clock.monotonic_s() - started:.0f} s)")
        tar = await _assemble(inputs, work, sealing.result(), fetching.result())
        progress("pack")
        return await asyncio.to_thread(pack, images, tar)


async def _seal(inputs: Inputs, work: Path) -> Path:
    def stage() -> None:
        for name in SOURCES:
            shutil.copytree(
                inputs.source / name,
                work / "src" / Path(name).name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        (work / "tools").mkdir()
        for name, path in inputs.toolchain.libraries.items():
            (work / "tools" / name).symlink_to(path)

    await asyncio.to_thread(stage)
    sealed = work / "sealed"
    await run(
        [
            str(inputs.toolchain.python), "-B", str(inputs.source / "container" / "seal.py"),
            "--source", str(work / "src"), "--tools", str(work / "tools"),
            "--work", str(work / "seal"), "--out", str(sealed),
        ],
        timeout_s=_SEAL_S,
        code=Code.HOST_UNSUITED,
        hint=HINT,
        env={"PYTHONHASHSEED": "0"},
    )  # fmt: skip
    return sealed


async def _assemble(inputs: Inputs, work: Path, sealed: Path, base: BaseTree) -> Path:
    tar = work / "rootfs.tar"
    parts = [f"--part={part}" for part in (*inputs.toolchain.parts, *base.parts)]
    await run(
        [
            str(inputs.toolchain.python), "-B", str(inputs.source / "container" / "assemble.py"),
            "--base", str(base.root), "--sealed", str(sealed), "--tar", str(tar),
            "--multiarch", this_machine().multiarch, *parts,
        ],
        timeout_s=_SEAL_S,
        code=Code.HOST_UNSUITED,
        hint=HINT,
    )  # fmt: skip
    return tar


def pack(images: ImageStore, tar: Path) -> str:
    """Make layer, config and manifest of one plain tar; the same tar gives the same digest."""
    with tar.open("rb") as plain, images.writer(digest=None, limit=oci.MAX_LAYER_BYTES) as blob:
        hasher = hashlib.sha256()
        # wbits 31 writes a gzip header without a time or a name.
        encoder = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        while chunk := plain.read(_CHUNK):
            hasher.update(chunk)
            blob.write(encoder.compress(chunk))
        blob.write(encoder.flush())
    layer = oci.Descriptor(media_type=oci.LAYER_GZIP, digest=blob.digest, size=blob.size)
    config = oci.encode(
        oci.Config(
            architecture=this_machine().oci,
            os="linux",
            rootfs=oci.RootFs(type="layers", diff_ids=(f"sha256:{hasher.hexdigest()}",)),
            config=oci.Process(
                user="65532:65532",
                env=("PATH=/",),
                entrypoint=("/sandbox",),
                working_dir="/workspace",
            ),
        )
    )
    row = oci.Descriptor(media_type=oci.CONFIG, digest=images.put(config), size=len(config))
    manifest = oci.Manifest(schema_version=2, config=row, layers=(layer,))
    return images.put(oci.encode(manifest))


def _reuse(store: RootfsStore, note: Path) -> str | None:
    """Return the digest of an earlier build of the same inputs, if it is whole and trusted."""
    try:
        digest = msgspec.json.decode(note.read_bytes(), type=_Known).digest
        admit_default(store, digest)
    except (FileNotFoundError, ValueError, HostError):
        return None
    return digest


def _first(errors: BaseExceptionGroup[IronClawError]) -> BaseException:
    """One of several failures: the first is what the user mends first."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
