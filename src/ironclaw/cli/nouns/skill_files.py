"""The verbs of `ironclaw skill` that work on files, on any machine: make, sign, look, import."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import show
from ironclaw.cli.options import Json, settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.domain.skills import Folder, read
from ironclaw.skills.packing import SUFFIX, Packed, pack, read_either
from ironclaw.skills.shelf import Shelf
from ironclaw.skills.signing import MAX_KEY_BYTES, keygen, read_key, sign, signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PlaceArgument = Annotated[
    Path, typer.Argument(metavar="DIR|FILE", help="A skill's folder, or a packed skill.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="File to write; `NAME.skill` here if not told.")
]

ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def add_to(app: typer.Typer) -> None:
    """Put these verbs into `ironclaw skill`."""
    app.command("keygen")(skill_keygen)
    app.command("pack")(skill_pack)
    app.command("sign")(skill_sign)
    app.command("verify")(skill_verify)
    app.command("import")(skill_import)


def skill_keygen(
    file: Annotated[Path, typer.Argument(help="File for the private key; it must not exist.")],
    *,
    as_json: Json = False,
) -> None:
    """Make a key to sign skills with; print the public one, for `skills.trusted_keys`."""
    pem, public = keygen()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(pem)
    except FileExistsError as error:
        raise _is_there(file, "Name another file: a key that is lost signs nothing.") from error
    except OSError as error:
        raise _cannot_write(file, error) from error
    if as_json:
        render.data({"key": public, "file": str(file)})
        return
    render.line(public)
    render.note(f"The private key is in {file}: whoever has it can sign in your name.")


def skill_pack(
    folder: PlaceArgument,
    *,
    out: OutOption = None,
    force: ForceOption = False,
    as_json: Json = False,
) -> None:
    """Pack a skill's folder into one file, signed by nobody."""
    packed = read_either(folder)._replace(signature=b"")
    _write(packed, read(packed.tree), out, force=force, as_json=as_json)


def skill_sign(
    place: PlaceArgument,
    *,
    key: Annotated[Path, typer.Option("--key", help="The private key, as `keygen` made it.")],
    out: OutOption = None,
    force: ForceOption = False,
    as_json: Json = False,
) -> None:
    """Sign a skill as a whole, and pack it into one file."""
    packed = read_either(place)
    folder = read(packed.tree)
    signed = packed._replace(signature=sign(folder.files, _key(key)))
    # One that is signed where it is stays what it was, but for the signature.
    is_itself = place.is_file() and place == (out or _usual(folder))
    _write(signed, folder, out, force=force or is_itself, as_json=as_json)


def skill_verify(place: PlaceArgument, *, as_json: Json = False) -> None:
    """Check a skill's form, its signature, and whether this house trusts it; show all of it."""
    packed = read_either(place)
    folder = read(packed.tree)
    who = signer(folder.files, packed.signature)
    is_trusted = _shelf().trusts(who)
    found = facts(folder) | {"signer": who, "is_trusted": is_trusted}
    if is_trusted:
        show(found, as_json=as_json)
        return
    refused = _not_trusted(folder.name, who)
    if as_json:
        told = {"code": refused.code, "message": refused.message, "hint": refused.hint}
        render.data(found | {"error": told})
        raise typer.Exit(refused.row.exit_code)
    show(found, as_json=False)
    raise refused


def skill_import(
    file: Annotated[Path, typer.Argument(help="A packed skill, or a folder.")],
    *,
    as_json: Json = False,
) -> None:
    """Keep a skill in this house, if it is trusted, for agents to be given. Gives it to nobody."""
    kept = _shelf().keep(read_either(file), now_ms=time.time_ns() // 1_000_000)
    if as_json:
        render.data(facts(kept.folder) | {"signer": kept.signer})
        return
    render.line(f"imported {kept.name}, {kept.digest}")
    render.note(f"`ironclaw skill add AGENT {kept.name}` asks for it to be given to an agent.")


def facts(folder: Folder) -> dict[str, Any]:
    """What a folder says of itself."""
    return {
        "name": folder.name,
        "digest": folder.digest,
        "description": folder.description,
        "license": folder.license,
        "compatibility": folder.compatibility,
        "asks": list(folder.asks),
        "metadata": folder.metadata,
        "files": [f"{one.path} ({one.size} bytes)" for one in folder.files],
    }


def _not_trusted(name: str, who: str) -> PolicyError:
    signed = f"It is signed with the key {who}." if who else "Nobody has signed it."
    return PolicyError(
        Code.FORBIDDEN,
        f"This house does not trust the skill {name}. {signed}",
        hint="Name its key in `skills.trusted_keys`, or set `skills.by_digest = true`, in "
        "config.toml; a daemon that runs knows it from its next start.",
    )


def _shelf() -> Shelf:
    found = settings()
    return Shelf(
        found.skills_dir, trusted=found.skills.trusted_keys, by_digest=found.skills.by_digest
    )


def _key(file: Path) -> Ed25519PrivateKey:
    try:
        with file.open("rb") as stream:
            return read_key(stream.read(MAX_KEY_BYTES))
    except OSError as error:
        raise UserError(
            Code.NOT_FOUND,
            f"{str(file)!r} cannot be read: {error.strerror}.",
            hint="`ironclaw skill keygen FILE` makes a key.",
        ) from error


def _usual(folder: Folder) -> Path:
    return Path(f"{folder.name}{SUFFIX}")


def _write(packed: Packed, folder: Folder, out: Path | None, *, force: bool, as_json: bool) -> None:
    target = out or _usual(folder)
    data = pack(packed.tree, packed.signature)
    try:
        with target.open("wb" if force else "xb") as stream:
            stream.write(data)
    except FileExistsError as error:
        raise _is_there(target, "`--out` names another file, `--force` replaces it.") from error
    except OSError as error:
        raise _cannot_write(target, error) from error
    who = signer(folder.files, packed.signature)
    if as_json:
        told = {"name": folder.name, "digest": folder.digest, "signer": who}
        render.data(told | {"file": str(target)})
        return
    render.line(f"{target}: {folder.name}, {folder.digest}")
    render.note(f"signed by {who}" if who else "signed by nobody")


def _is_there(file: Path, hint: str) -> UserError:
    return UserError(Code.CONFLICT, f"There is a file {str(file)!r} already.", hint=hint)


def _cannot_write(file: Path, error: OSError) -> HostError:
    return HostError(
        Code.DISK_FULL,
        f"{str(file)!r} cannot be written: {error.strerror}.",
        hint="Name another file.",
    )
