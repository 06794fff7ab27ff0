"""The skills of a house: `state/skills/<digest>/`, each imported once and never changed again.

keep      check and trust first, write into a directory of another name, sync, rename
kept      what there is, out of manifest and `SKILL.md`; what does not fit together is left out
verified  every byte hashed again, the signature and its key checked: then a box may see it

<digest>/files/…    the folder, read-only: what is shown to boxes
<digest>/kept.json  its manifest, its signature, when it came
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, PolicyError, UserError
from ironclaw.core.log import get_logger
from ironclaw.domain.skills import (
    DIGEST_RULE,
    ENTRY,
    MAX_ENTRY_BYTES,
    MAX_FILES,
    MAX_SKILLS,
    KeptSkill,
    SkillFile,
    clean,
    digest_of,
    manifest,
    read,
    understand,
)
from ironclaw.skills.packing import read_folder
from ironclaw.skills.signing import MAX_SIGNATURE_BYTES, signer

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ironclaw.skills.packing import Packed

FILES: Final = "files"
_KEPT: Final = "kept.json"
_MAX_KEPT_BYTES: Final = 1024 * 1024
_log = get_logger("skills")


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`kept.json`."""

    files: Annotated[tuple[SkillFile, ...], msgspec.Meta(max_length=MAX_FILES)]
    signature: Annotated[bytes, msgspec.Meta(max_length=MAX_SIGNATURE_BYTES)]
    at_ms: int


class Shelf:
    """Implements `domain.wall.SkillShelf`. All of it blocks: not for the event loop.

    Args:
        root: Its directory; made when something is kept.
        trusted: Public keys whose skills may be used, in base64.
        by_digest: Whether people may vouch for skills of other keys, and of none, themselves.
    """

    def __init__(self, root: Path, *, trusted: Collection[str], by_digest: bool) -> None:
        self._root = root
        self._trusted = frozenset(trusted)
        self._by_digest = by_digest

    def trusts(self, key: str) -> bool:
        """Whether skills signed with it may be used; empty: that nobody signed."""
        return self._by_digest or key in self._trusted

    def keep(self, packed: Packed, *, now_ms: int) -> KeptSkill:
        """Keep a skill; the same one twice is one.

        Raises:
            UserError: `INVALID`, `TOO_LARGE`; `CONFLICT`: there are too many.
            PolicyError: `FORBIDDEN`: its signature is wrong, or of a key that is not trusted; the
                directory is another user's.
            HostError: `DISK_FULL`.
        """
        folder = read(packed.tree)
        key = signer(folder.files, packed.signature)
        if not self.trusts(key):
            raise _untrusted(key)
        place = self._root / folder.digest.removeprefix("sha256:")
        kept = _Kept(folder.files, packed.signature, now_ms)
        try:
            if self._is_whole(place, folder.digest):
                _write_signature(place, kept)
            else:
                self._check_room(folder.digest)
                self._write(place, packed.tree, kept)
        except PermissionError as error:
            raise PolicyError(
                Code.FORBIDDEN,
                "The house's own directory of skills may not be written by this user.",
                hint="Import it as the user who runs the house.",
                detail=str(error),
            ) from error
        except OSError as error:
            raise HostError(
                Code.DISK_FULL,
                f"The skill cannot be written: {error.strerror}.",
                hint="Free space in the state directory, then import it again.",
                detail=str(error),
            ) from error
        return KeptSkill(folder=folder, signer=key, is_trusted=True, kept_ms=now_ms)

    def kept(self) -> tuple[KeptSkill, ...]:
        """What there is, by name, the newest of a name first."""
        found = []
        for digest in self._digests():
            try:
                found.append(self._look(digest))
            except (IronClawError, OSError, ValueError) as error:
                _log.warning("skill_broken", digest=digest, detail=str(error))
        return tuple(sorted(found, key=lambda one: (one.name, -one.kept_ms)))

    def verified(self, digest: str) -> Path:
        """The directory of a skill, after every byte of it was looked at again.

        Raises:
            HostError: `HOST_UNSUITED`: it is not what it was, or is trusted no longer.
        """
        place = self._root / digest.removeprefix("sha256:")
        try:
            kept = self._look(digest)
            if not self.is_same(place / FILES, digest):
                raise _unusable(digest, "its files are not those that were approved")
        except (IronClawError, OSError, ValueError) as error:
            if isinstance(error, HostError):
                raise
            raise _unusable(digest, "it is not there, or its files were altered") from error
        if not kept.is_trusted:
            raise _unusable(digest, "the key that signed it is not trusted any more")
        return place / FILES

    def is_same(self, files: Path, digest: str) -> bool:
        """Whether a directory holds exactly what a digest names. Raises UserError, OSError."""
        return digest_of(manifest(read_folder(files))) == digest

    def drop(self, digest: str) -> None:
        """Remove a skill; boxes that have it go on until they end. Idempotent."""
        shutil.rmtree(self._root / digest.removeprefix("sha256:"), ignore_errors=True)

    def _digests(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            names = sorted(f"sha256:{entry.name}" for entry in self._root.iterdir())
            return [name for name in names if re.match(DIGEST_RULE, name)]
        return []

    def _look(self, digest: str) -> KeptSkill:
        place = self._root / digest.removeprefix("sha256:")
        with (place / _KEPT).open("rb") as stream:
            kept = msgspec.json.decode(stream.read(_MAX_KEPT_BYTES), type=_Kept)
        if digest_of(kept.files) != digest:
            raise ValueError("its manifest is another's")
        with (place / FILES / ENTRY).open("rb") as stream:
            raw = stream.read(MAX_ENTRY_BYTES + 1)
        said = next((one.sha256 for one in kept.files if one.path == ENTRY), "")
        if hashlib.sha256(raw).hexdigest() != said:
            raise ValueError("its SKILL.md is another's")
        key = signer(kept.files, kept.signature)
        return KeptSkill(
            folder=understand(clean(raw, beside=len(kept.files)), kept.files),
            signer=key,
            is_trusted=self.trusts(key),
            kept_ms=kept.at_ms,
        )

    def _is_whole(self, place: Path, digest: str) -> bool:
        try:
            return (place / _KEPT).is_file() and self.is_same(place / FILES, digest)
        except UserError:
            return False

    def _check_room(self, digest: str) -> None:
        if len(set(self._digests()) - {digest}) >= MAX_SKILLS:
            raise UserError(
                Code.CONFLICT,
                f"A house keeps at most {MAX_SKILLS} skills.",
                hint="Take away one that no agent has: `ironclaw skill drop`.",
            )

    def _write(self, place: Path, tree: dict[str, bytes], kept: _Kept) -> None:
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        draft = self._root / f".{place.name}.{secrets.token_hex(6)}"
        try:
            for path, data in tree.items():
                target = draft / FILES / path
                target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                _write_file(target, data, mode=0o444)
            _write_file(draft / _KEPT, msgspec.json.encode(kept), mode=0o600)
            for directory, _, _ in os.walk(draft):
                os.chmod(directory, 0o755)  # noqa: PTH101, S103 - the box's ids read it, whatever our umask
                _sync(directory)
            # One that was altered since makes way.
            shutil.rmtree(place, ignore_errors=True)
            draft.rename(place)
            _sync(self._root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _write_signature(place: Path, kept: _Kept) -> None:
    """The same files again, perhaps signed by somebody else now."""
    draft = place / f".{_KEPT}.{secrets.token_hex(6)}"
    _write_file(draft, msgspec.json.encode(kept), mode=0o600)
    draft.rename(place / _KEPT)
    _sync(place)


def _write_file(path: Path, data: bytes, *, mode: int) -> None:
    with path.open("xb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(directory: Path | str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _untrusted(key: str) -> PolicyError:
    who = f"signed with the key {key}, which the settings do not trust" if key else "not signed"
    return PolicyError(
        Code.FORBIDDEN,
        f"The skill is {who}.",
        hint="Name its key in the setting `skills.trusted_keys`, or let people vouch for skills by "
        "their digests: `skills.by_digest = true`.",
    )


def _unusable(digest: str, why: str) -> HostError:
    return HostError(
        Code.HOST_UNSUITED,
        f"The skill {digest} is not shown to anybody: {why}.",
        hint="Import it again, or take it from the agent: `ironclaw skill remove AGENT NAME`.",
    )
