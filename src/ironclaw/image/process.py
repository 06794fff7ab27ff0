"""Outside programs and scratch directories: bounded in time and output, never a shell."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_MAX_OUTPUT: Final = 8 * 1024 * 1024
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@asynccontextmanager
async def scratch(parent: Path, *, prefix: str) -> AsyncIterator[Path]:
    """Make a private directory for a while, without blocking the loop."""
    path = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=prefix, dir=parent))
    try:
        yield path
    finally:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


class Output(NamedTuple):
    """What a program said."""

    stdout: bytes
    stderr: str


async def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    code: Code,
    hint: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Output:
    """Run a program to its end.

    Args:
        command: Program and arguments.
        timeout_s: Seconds; then the program is killed.
        code: The error's code when it fails.
        hint: The error's next step.
        env: Added to a minimal environment; nothing else is inherited.
        cwd: Working directory.

    Raises:
        HostError: `code`: not found, failed or timed out. The detail has the command to replay.
    """
    shown = shlex.join(command)
    environment = {"PATH": _PATH, "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MAX_OUTPUT,
            env=environment,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise HostError(code, f"{command[0]} is not installed.", hint=hint) from error
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await process.communicate()
    except TimeoutError as error:
        raise HostError(
            code,
            f"{command[0]} did not end within {timeout_s:.0f} seconds.",
            hint=hint,
            detail=shown,
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = stderr.decode(errors="replace")[-4000:]
    if process.returncode != 0:
        raise HostError(
            code,
            f"{command[0]} failed with exit code {process.returncode}.",
            hint=hint,
            detail=f"{shown}\n{text}",
        )
    return Output(stdout[:_MAX_OUTPUT], text)
