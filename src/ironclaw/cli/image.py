"""`ironclaw image`: build, fetch, check and clear away the sandbox image."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn, TypeVar

import typer

from ironclaw.cli import render
from ironclaw.cli.options import Json, settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, UserError
from ironclaw.image.build import build_image, rebuild_digest
from ironclaw.image.containerd import ContainerdProvisioner
from ironclaw.image.layout import REF_NAME
from ironclaw.image.oci_layout import OciLayoutProvisioner
from ironclaw.image.registry import RegistryProvisioner
from ironclaw.image.rootfs import RootfsStore

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from ironclaw.image.provision import Provisioner

_T = TypeVar("_T")

image_app = typer.Typer(
    name="image", help="The sandbox image: build, fetch, check, clear away.", no_args_is_help=True
)

StateDir = Annotated[
    Path, typer.Option("--state-dir", help="Keep images here, not where the settings say.")
]
Pin = Annotated[
    str | None, typer.Option("--pin", help="Trust this manifest digest, and take only it.")
]
Signature = Annotated[
    Path | None, typer.Option("--signature", help="The detached signature file of the image.")
]
Key = Annotated[
    str | None, typer.Option("--trust-key", help="Trust this ed25519 public key (base64).")
]


class _Trust(NamedTuple):
    """What the caller vouches for, on the command line."""

    pin: str | None
    signature: Path | None
    key: str | None


def _state(given: Path | None) -> Path:
    """Where images are kept: as given, or as the settings say."""
    return given if given is not None else settings().image_dir


@image_app.command()
def build(
    *,
    state_dir: StateDir | None = None,
    source: Annotated[
        Path | None, typer.Option("--source", help="Repository root; found by itself.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Build though nothing changed.")] = False,
    as_json: Json = False,
) -> None:
    """Build the image from these sources and this machine's package mirror."""
    state = _state(state_dir)
    digest = _run(build_image(state, progress=_progress, source=source, fresh=fresh), as_json)
    _say(as_json, {"digest": digest}, f"built {digest}")


@image_app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="An OCI image layout, or an archive of one.")],
    *,
    state_dir: StateDir | None = None,
    pin: Pin = None,
    signature: Signature = None,
    trust_key: Key = None,
    containerd: Annotated[
        Path | None, typer.Option("--containerd", help="Go through containerd at this socket.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take an image from a file or a directory, if it is trusted."""
    state = _state(state_dir)
    source: Provisioner = OciLayoutProvisioner(state)
    if containerd is not None:
        source = ContainerdProvisioner(state, address=containerd)
    if not path.exists():
        _fail(
            UserError(Code.NOT_FOUND, f"There is no {str(path)!r}.", hint="Give a layout's path."),
            as_json,
        )
    _provision(state, source, str(path), _Trust(pin, signature, trust_key), as_json=as_json)


@image_app.command()
def pull(
    reference: Annotated[str, typer.Argument(help="host/repository@sha256:… or :tag")],
    *,
    state_dir: StateDir | None = None,
    pin: Pin = None,
    signature: Signature = None,
    trust_key: Key = None,
    containerd: Annotated[
        Path | None, typer.Option("--containerd", help="Go through containerd at this socket.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch an image from a registry, if it is trusted."""
    state = _state(state_dir)
    source: Provisioner = RegistryProvisioner(state, progress=_progress)
    if containerd is not None:
        source = ContainerdProvisioner(state, address=containerd)
    _provision(state, source, reference, _Trust(pin, signature, trust_key), as_json=as_json)


@image_app.command()
def verify(
    *,
    state_dir: StateDir | None = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build again and compare the digests.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Hash the default image and its files again, and check that it is still trusted."""
    state = _state(state_dir)

    async def work() -> dict[str, str | bool]:
        store = RootfsStore(state)
        digest = store.images.resolve("default")
        trusted = await asyncio.to_thread(store.verify, digest)
        row: dict[str, str | bool] = {"digest": digest, "trusted": trusted, "verified": True}
        if rebuild:
            again = await rebuild_digest(state, progress=_progress)
            row["rebuilt"] = again
            if again != digest:
                raise HostError(
                    Code.IMAGE_BROKEN,
                    "Building again gave another image.",
                    hint="Sources, packages or tools changed since: `ironclaw image build`.",
                    detail=f"{digest} was, {again} is",
                )
        return row

    row = _run(work(), as_json)
    _say(as_json, row, f"{row['digest']} is whole and {row['trusted']}")


@image_app.command("ls")
def list_images(*, state_dir: StateDir | None = None, as_json: Json = False) -> None:
    """List the images that are here."""
    store = RootfsStore(_state(state_dir))
    try:
        named = {row.digest: (row.annotations or {}) for row in store.images.index().manifests}
        unpacked = {rootfs.digest for rootfs in store.complete()}
    except IronClawError as error:
        _fail(error, as_json)
    rows = [
        {
            "digest": digest,
            "name": named.get(digest, {}).get(REF_NAME, ""),
            "unpacked": digest in unpacked,
        }
        for digest in sorted(named.keys() | unpacked)
    ]
    lines = [f"{row['digest']}  {row['name'] or '-'}" for row in rows] or ["no image"]
    _say(as_json, {"images": rows}, "\n".join(lines))


@image_app.command()
def gc(
    *,
    state_dir: StateDir | None = None,
    keep: Annotated[list[str] | None, typer.Option("--keep", help="A digest to keep.")] = None,
    as_json: Json = False,
) -> None:
    """Remove images that no name refers to. Running boxes keep the files they have open."""
    store = RootfsStore(_state(state_dir))

    async def work() -> list[str]:
        return await asyncio.to_thread(store.collect, set(keep or []))

    gone = _run(work(), as_json)
    _say(as_json, {"removed": gone}, "\n".join(f"removed {name}" for name in gone) or "nothing")


def _provision(
    state: Path,
    source: Provisioner,
    reference: str,
    trust: _Trust,
    *,
    as_json: bool,
) -> None:
    async def work() -> str:
        store = RootfsStore(state)
        if trust.pin is not None:
            store.images.path(trust.pin)
            store.trust.pin(trust.pin)
        if trust.key is not None:
            store.trust.trust_key(_public_key(trust.key))
        if trust.signature is not None:
            store.trust.keep_signature(_read(trust.signature))
        rootfs = await source.provision(reference)
        return rootfs.digest

    digest = _run(work(), as_json)
    _say(as_json, {"digest": digest}, f"ready {digest}")


def _public_key(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:  # noqa: PLR2004  (ed25519)
        raise UserError(
            Code.INVALID, "The key is not an ed25519 public key.", hint="32 bytes in base64."
        )
    return raw


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1024 * 1024)
    except OSError as error:
        raise UserError(
            Code.NOT_FOUND, f"{str(path)!r} cannot be read.", hint="Give the signature's path."
        ) from error


def _run(work: Coroutine[object, object, _T], as_json: bool) -> _T:  # noqa: FBT001  (the option)
    try:
        return asyncio.run(work)
    except IronClawError as error:
        _fail(error, as_json)


def _fail(error: IronClawError, as_json: bool) -> NoReturn:  # noqa: FBT001  (the option)
    raise typer.Exit(render.error(error, as_json=as_json))


def _progress(line: str) -> None:
    render.note(f"image: {line}")


def _say(as_json: bool, row: Mapping[str, object], text: str) -> None:  # noqa: FBT001  (the option)
    if as_json:
        render.data(row)
    else:
        render.block(text)
