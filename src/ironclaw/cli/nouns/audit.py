"""`ironclaw audit`: look at records, verify the chain, export and rotate it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, readable, when
from ironclaw.cli.options import Json, settings
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.offline import Exported

_HELP = "The audit: who did what, in a chain that shows any change."

audit_app = typer.Typer(
    help=_HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

KeyOption = Annotated[
    Path | None,
    typer.Option("--key", help="Public key of the house; this machine's house otherwise."),
]


@audit_app.callback(help=_HELP)
def audit() -> None:
    """Hold the commands together."""


@audit_app.command("tail")
def audit_tail(
    *,
    records: Annotated[
        int, typer.Option("--records", "-n", min=1, max=1000, help="Newest records shown.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Show the newest records, oldest first, also while no daemon runs."""
    from ironclaw.domain.audit import AuditRecord  # noqa: PLC0415 - only here
    from ironclaw.domain.audit_kinds import in_words  # noqa: PLC0415 - only here

    try:
        with daemon() as client:
            found = client.get("v1", "audit", query=f"limit={records}")
    except UserError as error:
        if error.code is not Code.NOT_RUNNING:
            raise
        from ironclaw.offline import open_audit  # noqa: PLC0415 - heavy

        with open_audit(settings()) as house:
            found = {"records": msgspec.to_builtins(house.tail(limit=records))}
    if as_json:
        render.data(found)
        return
    rows = msgspec.convert(found["records"], list[AuditRecord])
    show_records([(one.number, when(one.at_ms), one.event, in_words(one)) for one in rows])


@audit_app.command("show")
def audit_show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of a record.")],
    *,
    as_json: Json = False,
) -> None:
    """Show one record with all of its fields, also while no daemon runs."""
    from ironclaw.domain.audit import AuditRecord  # noqa: PLC0415 - only here
    from ironclaw.domain.audit_kinds import in_words  # noqa: PLC0415 - only here

    try:
        with daemon() as client:
            found = client.get("v1", "audit", str(number))
    except UserError as error:
        if error.code is not Code.NOT_RUNNING:
            raise
        from ironclaw.offline import open_audit  # noqa: PLC0415 - heavy

        with open_audit(settings()) as house:
            found = msgspec.to_builtins(house.record(number))
    if as_json:
        render.data(found)
        return
    render.line(in_words(msgspec.convert(found, AuditRecord)), tone="strong")
    render.fields(readable(found))


@audit_app.command("verify")
def audit_verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...", help="Exported files, oldest first; the house's store without any."
        ),
    ] = None,
    *,
    store: Annotated[
        bool, typer.Option("--store", help="After the files go on with the house's store.")
    ] = False,
    key: KeyOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", help="A checkpoint kept elsewhere, which the chain must lead to."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every hash and signature; exit status 0 only when the whole chain holds."""
    from ironclaw.cli.audit_files import in_words, told  # noqa: PLC0415 - loads the cryptography
    from ironclaw.cli.audit_verify import verify  # noqa: PLC0415 - same
    from ironclaw.domain.audit_check import Break  # noqa: PLC0415 - same

    found = verify(settings(), files or [], with_store=store, key=key, checkpoint=checkpoint)
    is_broken = isinstance(found, Break)
    if as_json:
        render.data(told(found))
    else:
        render.line(in_words(found), tone="bad" if is_broken else "good")
    if is_broken:
        raise typer.Exit(CODES[Code.AUDIT_INVALID].exit_code)


@audit_app.command("export")
def audit_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    *,
    first: Annotated[int, typer.Option("--from", min=1, help="First record; the oldest one.")] = 1,
    to: Annotated[
        int | None,
        typer.Option(
            "--to", min=1, help="Last record, and what follows up to the checkpoint over it."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write records and checkpoints to a file, one JSON object a line, and verify the file."""
    made = _export(file, first=first, to=to)
    if as_json:
        render.data({"file": str(file)} | made._asdict())
        return
    render.line(f"Exported records {made.first} to {made.through}.", tone="good")
    render.fields({"file": str(file), "digest": made.digest})


@audit_app.command("rotate")
def audit_rotate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    *,
    to: Annotated[
        int | None,
        typer.Option("--to", min=1, help="Last record to remove, rounded up to a checkpoint."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export the oldest records, verify the file, and only then remove them from the store."""
    with daemon() as client:
        made = _export(file, first=1, to=to)
        body = {"through": made.through, "digest": made.digest}
        record = client.call("POST", "v1", "audit", "rotate", body=body)
    if as_json:
        render.data({"file": str(file), "record": record} | made._asdict())
        return
    render.line(f"Removed records {made.first} to {made.through}; they are in {file}.", tone="good")
    render.note("Keep that file: the chain goes on from it (`ironclaw audit verify FILE --store`).")


def show_records(rows: Sequence[tuple[Any, ...]]) -> None:
    """Records as a table of sentences."""
    render.table(("NUMBER", "AT", "EVENT", "WHAT"), rows)


def _export(file: Path, *, first: int, to: int | None) -> Exported:
    """Export and verify. Raises UserError, PolicyError (`AUDIT_INVALID`), HostError."""
    from ironclaw.cli.audit_verify import check_export  # noqa: PLC0415 - loads the cryptography
    from ironclaw.offline import open_audit  # noqa: PLC0415 - heavy

    _sign_newest()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(
            Code.CONFLICT if isinstance(error, FileExistsError) else Code.INVALID,
            f"{file} cannot be made: {error.strerror}.",
            hint="Name a file that is not there yet, in a directory of yours.",
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as out, open_audit(settings()) as house:
            made = house.export(out, first=first, to=to)
            out.flush()
            os.fsync(out.fileno())
            check_export(file, house.key)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return made


def _sign_newest() -> None:
    """Have the newest record signed, if a daemon runs: a stopped one has signed its last."""
    try:
        with daemon() as client:
            client.call("POST", "v1", "audit", "checkpoint")
    except UserError as error:
        if error.code is not Code.NOT_RUNNING:
            raise
