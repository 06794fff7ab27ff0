"""`ironclaw receipt`, and how receipts are read and shown: none of it needs a daemon or a house."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import readable
from ironclaw.cli.nouns.meant import ID_BEGINS, one_of
from ironclaw.cli.options import Json, settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain import receipts
from ironclaw.domain.statement import Envelope
from ironclaw.store.receipt_files import ReceiptFiles

if TYPE_CHECKING:
    from ironclaw.config.settings import Settings

_WHERE: Final = {
    "receipt": "Name the file that `ironclaw session receipt ID --save FILE` wrote.",
    "public key": "A house has its public key in `receipt-key.pub` of its state directory; "
    "`--key` names another file.",
}
"""Where people find each kind of file."""

receipt_app = typer.Typer(
    help="Receipts: verify one, on any machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@receipt_app.callback()
def receipt() -> None:
    """Receipts: verify one, on any machine."""


@receipt_app.command("verify")
def receipt_verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A receipt, as it was saved.")],
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", help="Public key of the house that signed it; this machine's house otherwise."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check signature, format and verdict; exit status 0 only when all of them are right."""
    raw = _bytes(file, receipts.MAX_BYTES, "receipt")
    public = receipts.read_public_key(
        _bytes(key or settings().receipt_key_file, receipts.MAX_KEY_BYTES, "public key")
    )
    statement = receipts.verify(raw, public)
    if as_json:
        told = {"verified": True, "verdict": statement.verdict, "keyid": receipts.key_id(public)}
        render.data(told | {"receipt": statement})
        return
    render.line(f"The receipt is right: the launch was {statement.verdict}.", tone="good")
    render.fields({"signed with": receipts.key_id(public)})
    show(_told(raw))


def of_stopped_house(mine: Settings, ref: str) -> dict[str, Any]:
    """A session's newest receipt while no daemon runs, verified with the house's own key.

    Args:
        mine: Where the house is.
        ref: Id of a session, or the beginning of one: only the daemon knows whose they are.

    Raises:
        UserError: `NOT_FOUND`: there is none; `INVALID`: it could be several.
        PolicyError: `RECEIPT_INVALID`: somebody changed it.
    """
    if not ref.startswith(ID_BEGINS):
        raise UserError(
            Code.NOT_FOUND,
            f"{ref[:80]!r} is no id of a session, and only a running daemon knows more of them.",
            hint="Name the session by its id, ses_…; or start the daemon with `ironclaw up`.",
        )
    files = ReceiptFiles(mine.receipts_dir)
    known = [one for one in files.sessions() if one.startswith(ref)]
    session = one_of(ref, known) if known else ref
    path = files.newest(session)
    public = receipts.read_public_key(
        _bytes(mine.receipt_key_file, receipts.MAX_KEY_BYTES, "public key")
    )
    raw = _bytes(path, receipts.MAX_BYTES, "receipt")
    if receipts.verify(raw, public).session != session:
        raise PolicyError(
            Code.RECEIPT_INVALID,
            f"The receipt at {path} is of another session.",
            hint="Somebody moved it. `ironclaw session receipt` asks the daemon when it runs.",
        )
    return _told(raw)


def save(told: dict[str, Any], target: Path) -> str:
    """Write the envelope of a receipt, in the bytes that were signed, to a file.

    Returns:
        The fingerprint of the key that signed it.

    Raises:
        UserError: `INVALID`: the file cannot be written.
    """
    envelope = msgspec.convert(told["envelope"], Envelope)
    raw = receipts.envelope_bytes(envelope)
    try:
        target.write_bytes(raw)
    except OSError as error:
        raise UserError(
            Code.INVALID,
            f"{target} cannot be written: {error.strerror}.",
            hint="Name a file in a directory of yours.",
        ) from error
    return ", ".join(signature.keyid for signature in envelope.signatures)


def show(told: dict[str, Any]) -> None:
    """Show a receipt to people."""
    apart = {"inside", "outside", "checks", "not_enforced", "envelope", "weaker"}
    plain = {name: value for name, value in told.items() if name not in apart}
    render.fields(readable(plain))
    held = [name for name, value in told["checks"].items() if value]
    absent = told["not_enforced"]
    render.fields(
        {
            "checks": f"{len(held)} of {len(told['checks'])} held"
            + (f", {len(absent)} not enforced here" if absent else "")
        }
    )
    for words in told["weaker"] or ("nothing",):
        render.edge(f"weaker: {words}")
    checks = readable(told["checks"]) | dict.fromkeys(absent, "not enforced here")
    for title, part in (
        ("seen from inside:", readable(told["inside"])),
        ("measured from outside:", readable(told["outside"])),
        ("posture checks:", checks),
    ):
        render.line(title, tone="strong")
        render.fields({f"  {name}": value for name, value in part.items()})


def _told(raw: bytes) -> dict[str, Any]:
    """What the daemon would answer of this receipt."""
    told: dict[str, Any] = json.loads(msgspec.json.encode(receipts.shown(raw)))
    return told


def _bytes(path: Path, limit: int, what: Literal["receipt", "public key"]) -> bytes:
    """Read a plain file of at most `limit` bytes, looking at its size first.

    Raises:
        UserError: `NOT_FOUND` or `INVALID`.
        PolicyError: `RECEIPT_INVALID`: it is too large to be one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise UserError(
            Code.NOT_FOUND if missing else Code.INVALID,
            f"The {what} {path} cannot be read: {error.strerror}.",
            hint=_WHERE[what],
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise UserError(
                Code.INVALID, f"The {what} {path} is not a plain file.", hint="Save it to one."
            )
        # A file that grows meanwhile is read no further than one that was too large before.
        raw = b"" if info.st_size > limit else file.read(limit + 1)
    if info.st_size > limit or len(raw) > limit:
        raise PolicyError(
            Code.RECEIPT_INVALID,
            f"The {what} {path} has more than {limit} bytes; it was not read.",
            hint="Get it again from the house that made it.",
        )
    return raw
