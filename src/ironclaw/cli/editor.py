"""Has a person write a text in an editor of their own, as `git commit` does.

The editor is the person's program and runs as they do, at their terminal, without a time limit:
none of what `ironclaw.sandbox.process` is for.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ironclaw.cli import render
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.sanitize import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def edited(text: str) -> Iterator[str | None]:
    """What a person makes of a text; None when they leave it as it is, or their editor fails.

    What they wrote stays in its file, and they are told where, when the body raises: it is not
    lost because the daemon did not take it.

    Raises:
        UserError: `INVALID`: there is no editor, the text would act on a terminal, or what came
            back is no text.
    """
    argv = _editor()
    if sanitize(text, lines=True) != text:
        # An editor gets it as it is, and not every one makes such characters visible.
        raise UserError(
            Code.INVALID,
            "The text has characters that can act on a terminal: no editor is opened on it.",
            hint="`ironclaw memory show` shows it safely; give the new text as TEXT or @FILE.",
        )
    place = Path(tempfile.mkdtemp(prefix="ironclaw-"))
    path = place / "text.md"
    path.write_bytes(text.encode())
    try:
        yield _changed(argv, path, text)
    except BaseException:
        render.note(f"What you wrote is in {path}", tone="warn")
        raise
    shutil.rmtree(place)


def _editor() -> list[str]:
    """The program that the person has chosen, with its options."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        argv = shlex.split(named)
    except ValueError:
        argv = [named]
    if not argv or shutil.which(argv[0]) is None:
        problem = f"There is no editor {named!r}." if argv else "No editor is named."
        raise UserError(
            Code.INVALID, problem, hint="Set VISUAL or EDITOR to one, or give TEXT or @FILE."
        )
    return argv


def _changed(argv: list[str], path: Path, text: str) -> str | None:
    argv = [*argv, str(path)]
    _, status = os.waitpid(os.posix_spawnp(argv[0], argv, os.environ), 0)
    if status:
        return None
    try:
        said = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            Code.INVALID, "What the editor left cannot be read.", hint="Save UTF-8 text."
        ) from error
    # Editors end the last line, whoever looks only.
    return None if said.rstrip("\n") == text.rstrip("\n") else said
