"""The table of tools: name, what the model is told, strict arguments, what is done.

`Toolbox.run_all` is the only way to run one. Whatever a model wrote ends as a result for it: a tool
that is unknown, not granted, or called with anything but its arguments is answered, never raised.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw_agent.tools.beneath import Beneath
from ironclaw_agent.tools.clock import Clock, clock
from ironclaw_agent.tools.errors import ToolError
from ironclaw_agent.tools.files import (
    ListFiles,
    ReadFile,
    WriteFile,
    list_files,
    read_file,
    write_file,
)
from ironclaw_agent.tools.host import SPECS, HostTools
from ironclaw_contract.entries import Returned
from ironclaw_contract.rpc import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw_contract.entries import Called

MAX_CALLS: Final = 16
"""Calls of one answer that are run; the rest is told to come again."""
MAX_RESULT_CHARS: Final = 64 * 1024
MAX_RESULTS_CHARS: Final = 160 * 1024
"""Of all results of one answer: they share a record, where a character may take four bytes."""

_OS_WORDS: Final = {
    errno.ENOENT: "there is no such file or directory; list_files shows what there is",
    errno.ENOTDIR: "a part of the path is a file or a link, not a directory",
    errno.EISDIR: "this is a directory; give the path of a file",
    errno.ELOOP: "a part of the path is a link, and links are not followed",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "this place is read-only",
    errno.ENOSPC: "the disk space of this agent is used up; make files shorter",
    errno.EDQUOT: "the disk space of this agent is used up; make files shorter",
    errno.EFBIG: "the file would be larger than this agent may write",
    errno.ENAMETOOLONG: "a name in the path is too long",
}


class _Tool(NamedTuple):
    spec: ToolSpec
    run: Callable[[str], str]
    """From the JSON text of the arguments to the result. Raises ToolError, OSError, ValueError,
    RecursionError."""


class Toolbox:
    """Every tool of the program, for one workspace.

    Args:
        workspace: Directory of the session's files.
        host: What the host carries out.
    """

    def __init__(self, workspace: str, host: HostTools) -> None:
        self._host = host
        files = Beneath(workspace, "/workspace")
        to_read = msgspec.json.Decoder(ReadFile)
        to_write = msgspec.json.Decoder(WriteFile)
        to_list = msgspec.json.Decoder(ListFiles)
        to_clock = msgspec.json.Decoder(Clock)
        tools = (
            _Tool(
                ToolSpec(
                    name="read_file",
                    description="Read a text file of the workspace, up to 32 KiB at a time.",
                    parameters=_READ,
                ),
                lambda text: read_file(to_read.decode(text), files),
            ),
            _Tool(
                ToolSpec(
                    name="write_file",
                    description="Write a text file of the workspace: replace it, or append to it. "
                    "Directories on the way are made.",
                    parameters=_WRITE,
                ),
                lambda text: write_file(to_write.decode(text), files),
            ),
            _Tool(
                ToolSpec(
                    name="list_files",
                    description="List one directory of the workspace.",
                    parameters=_LIST,
                ),
                lambda text: list_files(to_list.decode(text), files),
            ),
            _Tool(
                ToolSpec(name="clock", description="Tell the time in UTC.", parameters=_CLOCK),
                lambda text: clock(to_clock.decode(text)),
            ),
            *(_Tool(spec, self._by_host(spec.name)) for spec in SPECS),
        )
        self._tools = {tool.spec.name: tool for tool in tools}
        self.specs = {name: tool.spec for name, tool in self._tools.items()}

    def run_all(
        self, calls: Sequence[Called], *, allowed: frozenset[str], turn: str, step: int
    ) -> list[Returned]:
        """Run the calls of one answer, in order; one result each.

        Args:
            calls: What the model wants.
            allowed: Names of the tools that the agent may use now.
            turn: The turn that runs.
            step: Index of the record that the results will be part of.
        """
        self._host.begin(turn, step)
        left = MAX_RESULTS_CHARS
        results = []
        for number, call in enumerate(calls):
            if number < MAX_CALLS:
                text, is_error = self._run(call, allowed)
            else:
                text, is_error = f"not run: at most {MAX_CALLS} calls in one answer", True
            text = _cut(text, min(MAX_RESULT_CHARS, left))
            left = max(left - len(text), 1024)
            results.append(Returned(call=call.call, text=text, is_error=is_error))
        return results

    def _by_host(self, name: str) -> Callable[[str], str]:
        return lambda text: self._host.use(name, text)

    def _run(self, call: Called, allowed: frozenset[str]) -> tuple[str, bool]:
        tool = self._tools.get(call.name) if call.name in allowed else None
        if tool is None:
            names = ", ".join(sorted(allowed & self._tools.keys())) or "none"
            return f"there is no tool of that name; the tools are: {names}", True
        try:
            return tool.run(call.arguments), False
        except ToolError as error:
            return str(error), True
        except OSError as error:
            return _OS_WORDS.get(error.errno or 0, "the file system refused this"), True
        except (ValueError, RecursionError) as error:
            return f"these are not the arguments of {call.name}: {_safe(error)}", True


def _safe(error: Exception) -> str:
    """What a decoder found wrong; its words name fields and types."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return _cut(str(error).encode("utf-8", "replace").decode(), 300)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "\n[cut here: the result is too long]"


_READ: Final = (
    '{"type":"object","properties":{'
    '"path":{"type":"string","description":"Path of the file, from /workspace."},'
    '"offset":{"type":"integer","minimum":0,"description":"Byte to begin at; 0 if left out."}},'
    '"required":["path"],"additionalProperties":false}'
)
_WRITE: Final = (
    '{"type":"object","properties":{'
    '"path":{"type":"string","description":"Path of the file, from /workspace."},'
    '"text":{"type":"string","description":"What to write."},'
    '"append":{"type":"boolean","description":"Add to the end instead of replacing."}},'
    '"required":["path","text"],"additionalProperties":false}'
)
_LIST: Final = (
    '{"type":"object","properties":{'
    '"path":{"type":"string","description":"Directory, from /workspace; the top if left out."}},'
    '"additionalProperties":false}'
)
_CLOCK: Final = '{"type":"object","properties":{},"additionalProperties":false}'
