"""Images through containerd: its `ctr` pulls or imports, and hands the image over as an archive.

What containerd says is believed no more than a registry: the archive goes through the same import,
trust policy, re-hash and unpack as any other.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.image.oci_layout import import_layout
from ironclaw.image.platform import this_machine
from ironclaw.image.process import run, scratch
from ironclaw.image.provision import admit_default
from ironclaw.image.registry import parse_reference
from ironclaw.image.rootfs import RootfsStore

if TYPE_CHECKING:
    from ironclaw.domain.wall import Rootfs

_HINT: Final = "Check that containerd runs and that its socket is the configured one."
_FETCH_S: Final = 1800.0
_CALL_S: Final = 300.0


class ContainerdProvisioner:
    """Provisions through one containerd."""

    def __init__(
        self,
        state_dir: Path,
        *,
        address: Path = Path("/run/containerd/containerd.sock"),
        namespace: str = "ironclaw",
        ctr: str = "ctr",
        plain_http: bool = False,
    ) -> None:
        self._store = RootfsStore(state_dir)
        self._base = [ctr, "--address", str(address), "--namespace", namespace]
        self._plain_http = plain_http

    async def provision(self, reference: str) -> Rootfs:
        """Pull (or import) with containerd, then take the image over and unpack it.

        Args:
            reference: `host/repository@sha256:…`, `host/repository:tag`, or the path of an archive.
        """
        if await asyncio.to_thread(Path(reference).is_file):
            # A name of our own for the archive's index: the names inside are the archive's affair.
            name = f"import.ironclaw.invalid/{secrets.token_hex(8)}:latest"
            arguments = ["--base-name", name.rpartition(":")[0], "--index-name", name]
            await self._ctr("images", "import", "--no-unpack", *arguments, reference)
        else:
            parsed = parse_reference(reference)
            known = parsed.digest
            if known is not None and await asyncio.to_thread(self._store.images.has, known):
                return await asyncio.to_thread(admit_default, self._store, known)
            plain = ["--plain-http"] if self._plain_http else []
            await self._ctr("content", "fetch", *plain, reference, timeout_s=_FETCH_S)
            name = reference
        digest = await self._take(name)
        return await asyncio.to_thread(admit_default, self._store, digest)

    async def _take(self, name: str) -> str:
        await asyncio.to_thread(self._store.images.prepare)
        async with scratch(self._store.images.root, prefix=".ctr-") as work:
            archive = work / "image.tar"
            platform = f"linux/{this_machine().oci}"
            await self._ctr("images", "export", "--platform", platform, str(archive), name)
            return await asyncio.to_thread(import_layout, self._store.images, archive)

    async def _ctr(self, *arguments: str, timeout_s: float = _CALL_S) -> None:
        command = [*self._base, *arguments]
        await run(command, timeout_s=timeout_s, code=Code.UNAVAILABLE, hint=_HINT)
