"""Layers into a directory, trusting nothing that an archive says.

1. `open_layer` decompresses a layer into a private file, counts it and compares its diffID: not one
   entry is looked at before the whole layer is what the signed config says.
2. `unpack_layer` walks the entries. Each name is taken apart and opened component by component,
   relative to a directory descriptor, never following a link.

Refused: absolute names, `..`, entries through a link, links that leave the tree, devices, FIFOs,
setuid and setgid files, file capabilities, and more bytes or entries than the limits.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from ironclaw.image import oci

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK: Final = 1024 * 1024
_MAX_HEADER_READ: Final = 1024 * 1024
"""One read of the archive reader: names and attributes are read whole, contents in pieces."""
_NO_FOLLOW_DIR: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


class Limits(NamedTuple):
    """What one image may unpack to."""

    total_bytes: int = 1024 * 1024 * 1024
    entries: int = 100_000
    depth: int = 64
    """Components of a name."""


DEFAULT_LIMITS: Final = Limits()


class _Bounded:
    """A file for tarfile that refuses to be read in huge pieces: those are header bombs."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER_READ:
            raise oci.broken("A layer has an entry header that is too large.")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def inflate(stored: IO[bytes], target: IO[bytes], *, gzipped: bool, limit: int) -> str:
    """Copy a stored layer as a plain tar; return its digest.

    Args:
        stored: The layer's blob.
        target: Where the plain tar goes.
        gzipped: Whether the blob is compressed.
        limit: Bytes the plain tar may have.

    Raises:
        HostError: `IMAGE_BROKEN`, larger than `limit` or not gzip.
    """
    hasher, size = hashlib.sha256(), 0
    pieces = _gunzip(stored) if gzipped else iter(lambda: stored.read(_CHUNK), b"")
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise oci.broken(f"A layer unpacks to more than {limit} bytes.")
        hasher.update(piece)
        target.write(piece)
    return f"sha256:{hasher.hexdigest()}"


def _gunzip(stored: IO[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    waiting = b""
    while data := waiting or stored.read(_CHUNK):
        if decoder.eof:  # another member follows, as parallel compressors write them
            decoder = zlib.decompressobj(wbits=31)
        try:
            piece = decoder.decompress(data, _CHUNK)
        except zlib.error as error:
            raise oci.broken("A layer is not gzip data.", detail=str(error)) from error
        waiting = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        if piece:
            yield piece
    if not decoder.eof:
        raise oci.broken("A layer ends in the middle of its gzip data.")


@contextmanager
def open_layer(
    blob: Path, layer: oci.Descriptor, diff_id: str, *, scratch: Path, limit: int
) -> Iterator[IO[bytes]]:
    """Give the layer as a plain tar that is known to be the one the config names.

    Raises:
        HostError: `IMAGE_BROKEN`, when its diffID is another.
    """
    with tempfile.TemporaryFile(dir=scratch) as plain, blob.open("rb") as stored:
        gzipped = layer.media_type in oci.GZIP_TYPES
        found = inflate(stored, plain, gzipped=gzipped, limit=limit)
        if found != diff_id:
            raise oci.broken("A layer's content is not what the image's config says.", detail=found)
        plain.seek(0)
        yield plain


class Unpacker:
    """Builds one tree from layers, lowest first.

    Call `finish` after the last layer: directories get their modes then, because a read-only
    directory could not be filled.
    """

    def __init__(self, root: Path, *, limits: Limits = DEFAULT_LIMITS, owner: bool) -> None:
        """Start with an empty directory.

        Args:
            root: An empty directory.
            limits: What the image may unpack to.
            owner: Whether this process may give files away (root).
        """
        self._root = root
        self._limits = limits
        self._owner = owner
        self._bytes = 0
        self._entries = 0
        self._modes: dict[str, tuple[int, int, int]] = {}

    def layer(self, plain: IO[bytes]) -> None:
        """Unpack one plain tar on top of what is there.

        Raises:
            HostError: `IMAGE_BROKEN`, naming the rule that an entry breaks.
        """
        try:
            with tarfile.open(fileobj=_Bounded(plain), mode="r:", errorlevel=2) as archive:  # type: ignore[call-overload]  # read, seek and tell are all it uses
                for member in archive:
                    self._entry(archive, member)
        except (tarfile.TarError, ValueError, EOFError, RecursionError) as error:
            raise oci.broken("A layer is not a well-formed tar.", detail=str(error)) from error
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EISDIR}:
                raise oci.broken(
                    "A layer has an entry below something that is not a directory.",
                    detail=str(error),
                ) from error
            raise

    def finish(self) -> None:
        """Set owners and modes of directories and make everything durable."""
        for path, (mode, uid, gid) in sorted(self._modes.items(), reverse=True):
            parts = path.split("/")
            with self._directory(parts) as descriptor:
                if self._owner:
                    _give(descriptor, uid, gid)
                # A directory of the box's own user is a mount point; the rest is read-only.
                os.fchmod(descriptor, mode if uid else mode & ~0o222)
                os.fsync(descriptor)

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise oci.broken(f"The image has more than {self._limits.entries} entries.")
        parts = self._parts(member.name)
        if not parts:
            return
        name = parts[-1]
        if name.startswith(_WHITEOUT):
            self._whiteout(parts)
            return
        if member.mode & (stat.S_ISUID | stat.S_ISGID) and not member.isdir():
            raise oci.broken(f"{member.name!r} is a setuid or setgid file.")
        if any(key.startswith("SCHILY.xattr.security.") for key in member.pax_headers):
            raise oci.broken(f"{member.name!r} carries file capabilities or a security label.")
        with self._directory(parts[:-1]) as parent:
            if member.isdir():
                self._make_directory(parent, parts, member)
            elif member.isreg():
                self._make_file(archive, parent, name, member)
            elif member.issym():
                self._make_symlink(parent, parts, member)
            elif member.islnk():
                self._make_hard_link(parent, name, member)
            else:
                raise oci.broken(f"{member.name!r} is a device, a FIFO or of an unknown type.")

    def _parts(self, name: str) -> list[str]:
        if name.startswith("/") or "\0" in name:
            raise oci.broken(f"{name!r} is an absolute name.")
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise oci.broken(f"{name!r} leaves the image.")
        if len(parts) > self._limits.depth:
            raise oci.broken("A layer has a name with too many components.")
        return parts

    @contextmanager
    def _directory(self, parts: list[str]) -> Iterator[int]:
        """Open a directory below the root, making what is missing, following no link."""
        current = os.open(self._root, _NO_FOLLOW_DIR)
        try:
            for part in parts:
                try:
                    below = os.open(part, _NO_FOLLOW_DIR, dir_fd=current)
                except FileNotFoundError:
                    os.mkdir(part, 0o755, dir_fd=current)
                    below = os.open(part, _NO_FOLLOW_DIR, dir_fd=current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    def _make_directory(self, parent: int, parts: list[str], member: tarfile.TarInfo) -> None:
        name = parts[-1]
        kind = _kind(parent, name)
        if kind is not None and not stat.S_ISDIR(kind):
            os.unlink(name, dir_fd=parent)
            kind = None
        if kind is None:
            os.mkdir(name, 0o700, dir_fd=parent)
        self._modes["/".join(parts)] = (member.mode & 0o1777, member.uid, member.gid)

    def _make_file(
        self, archive: tarfile.TarFile, parent: int, name: str, member: tarfile.TarInfo
    ) -> None:
        self._bytes += member.size
        if self._bytes > self._limits.total_bytes:
            raise oci.broken(f"The image unpacks to more than {self._limits.total_bytes} bytes.")
        _clear(parent, name)
        source = archive.extractfile(member)
        if source is None:
            raise oci.broken(f"{member.name!r} has no content.")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as target:
            left = member.size
            while left:
                piece = source.read(min(left, _CHUNK))
                if not piece:
                    raise oci.broken(f"{member.name!r} is cut short.")
                target.write(piece)
                left -= len(piece)
            target.flush()
            if self._owner:
                _give(target.fileno(), member.uid, member.gid)
            os.fchmod(target.fileno(), member.mode & 0o555 | 0o444)
            os.fsync(target.fileno())

    def _make_symlink(self, parent: int, parts: list[str], member: tarfile.TarInfo) -> None:
        target = member.linkname
        if target.startswith("/") or "\0" in target:
            raise oci.broken(f"{member.name!r} is a link to an absolute name.")
        depth = len(parts) - 1
        for part in target.split("/"):
            if part == "..":
                depth -= 1
            elif part not in {"", "."}:
                depth += 1
            if depth < 0:
                raise oci.broken(f"{member.name!r} is a link that leaves the image.")
        _clear(parent, parts[-1])
        os.symlink(target, parts[-1], dir_fd=parent)

    def _make_hard_link(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        source = self._parts(member.linkname)
        if not source:
            raise oci.broken(f"{member.name!r} is a link to nothing.")
        with self._directory(source[:-1]) as directory:
            kind = _kind(directory, source[-1])
            if kind is None or not stat.S_ISREG(kind):
                raise oci.broken(f"{member.name!r} is a link to what is not a file of the image.")
            _clear(parent, name)
            os.link(
                source[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False
            )

    def _whiteout(self, parts: list[str]) -> None:
        with self._directory(parts[:-1]) as parent:
            if parts[-1] == _OPAQUE:
                for name in os.listdir(parent):  # noqa: PTH208  (a descriptor, not a path)
                    _clear(parent, name, tree=True)
                return
            hidden = parts[-1].removeprefix(_WHITEOUT)
            if hidden in {"", ".", ".."}:
                raise oci.broken("A whiteout hides nothing.")
            _clear(parent, hidden, tree=True)
        gone = "/".join([*parts[:-1], hidden])
        for path in [p for p in self._modes if p == gone or p.startswith(f"{gone}/")]:
            del self._modes[path]


def _give(descriptor: int, uid: int, gid: int) -> None:
    """Give a file its owner; in a user namespace without that id it stays ours."""
    try:
        os.fchown(descriptor, uid, gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def _kind(parent: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _clear(parent: int, name: str, *, tree: bool = False) -> None:
    kind = _kind(parent, name)
    if kind is None:
        return
    if not stat.S_ISDIR(kind):
        os.unlink(name, dir_fd=parent)
    elif tree:
        shutil.rmtree(name, dir_fd=parent)
    else:
        raise oci.broken(f"A layer replaces the directory {name!r} by something else.")
