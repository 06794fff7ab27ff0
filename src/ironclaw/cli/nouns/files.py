"""`ironclaw file`: files of conversations; and files to send, for `ironclaw chat --file`."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final
from urllib.parse import unquote, urlencode

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.nouns.meant import MeantOption, session_meant
from ironclaw.cli.options import Json
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.attachments import MAX_MESSAGE_BYTES, clean_name
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES

file_app = typer.Typer(
    help="Files of conversations: list them, get one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
_STDOUT: Final = "-"
_ENCODED: Final = "filename*=UTF-8''"


@file_app.command("list")
def file_list(
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    session: MeantOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Newest files shown.")] = 100,
    as_json: Json = False,
) -> None:
    """List files that came with messages (in) or that agents sent (out), newest first."""
    asked: dict[str, str | int] = {"limit": limit}
    asked |= {"agent": agent} if agent else {}
    with daemon() as client:
        asked |= {"session": session_meant(client, session)} if session else {}
        found = client.get("v1", "files", query=urlencode(asked))
    if as_json:
        render.data(found)
        return
    render.table(
        ("FILE", "NAME", "TYPE", "BYTES", "WAY", "FROM", "SESSION", "WHEN"),
        [
            (
                one["id"],
                one["name"],
                one["media_type"],
                one["size"],
                "out" if one["is_out"] else "in",
                one["sender"],
                one["session"],
                when(one["at_ms"]),
            )
            for one in found["files"]
        ],
    )


@file_app.command("get")
def file_get(
    file: Annotated[
        str, typer.Argument(help="Id of the file, fil_…, as `ironclaw file list` names it.")
    ],
    *,
    output: Annotated[
        str | None,
        typer.Option(help="Where to; its own name in this directory unless told, `-` for stdout."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Save a file; what is there already is not written over."""
    with daemon() as client, client.download("v1", "files", file) as download:
        if output == _STDOUT:
            download.to(render.raw())
            return
        path = Path(output or name_of(download.headers.get("content-disposition", "")))
        with _fresh(path) as out:
            try:
                size = download.to(out)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    if as_json:
        render.data({"file": file, "path": str(path), "size": size})
    else:
        render.line(f"saved {path} ({size} bytes)")


def name_of(disposition: str) -> str:
    """The name that a file is saved under.

    Trust:
        It is a stranger's: no path, nothing invisible, and nothing that hides.
    """
    encoded = disposition.partition(_ENCODED)[2]
    return clean_name(unquote(encoded)).lstrip(".- ") or "file"


def _fresh(path: Path) -> BinaryIO:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise UserError(
            Code.CONFLICT,
            f"There is a file {path} already.",
            hint="Give another place: --output PATH.",
        ) from error
    except OSError as error:
        raise UserError(
            Code.INVALID, f"{path} cannot be written: {error.strerror}.", hint="--output PATH"
        ) from error
    return os.fdopen(fd, "wb")


def to_send(paths: list[Path]) -> list[dict[str, Any]]:
    """Files as a message has them.

    Raises:
        UserError: `INVALID`, `TOO_LARGE`; nothing was read then that is too long.
    """
    if len(paths) > MAX_FILES:
        raise UserError(
            Code.TOO_LARGE,
            f"A message has at most {MAX_FILES} files.",
            hint="Send the others with another message.",
        )
    found = []
    left = MAX_MESSAGE_BYTES
    for path in paths:
        data = _read(path, min(left, MAX_FILE_BYTES))
        left -= len(data)
        found.append({"name": path.name, "data": base64.b64encode(data).decode()})
    return found


def _read(path: Path, most: int) -> bytes:
    try:
        # A pipe would keep us waiting for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise UserError(
            Code.INVALID, f"{path} cannot be read: {error.strerror}.", hint="Give another file."
        ) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UserError(Code.INVALID, f"{path} is not a file.", hint="Give a plain file.")
    with os.fdopen(fd, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UserError(
            Code.TOO_LARGE,
            f"{path} is too large: a file has at most {MAX_FILE_BYTES // 1024**2} MiB, and those "
            f"of a message at most {MAX_MESSAGE_BYTES // 1024**2} MiB together.",
            hint="Send a part of it.",
        )
    return data


def told(files: list[dict[str, Any]]) -> list[str]:
    """A line for each file that came with something said."""
    return [
        f"[file] {one['name']} ({one['media_type']}, {one['size']} bytes): "
        f"ironclaw file get {one['id']}"
        for one in files
    ]
