"""`send_file`: a file of the workspace to the chat, or to a destination, while the turn goes on.

    run: read it in parts -> each is published -> words that take it along, with the step's record
                                               └> or, to a destination, the host's `send_message`

The host takes nothing of it on trust. An id is the same when the step runs again after a kill.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from ironclaw_agent.tools.errors import ToolError
from ironclaw_contract.entries import File
from ironclaw_contract.hashing import sha256
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES, MAX_PART_BYTES
from ironclaw_contract.records import Part, Say

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw_agent.tools.beneath import Beneath

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of the files of one answer together."""
SENDS: Final = "send_message"
_NAME_CHARS: Final = 128
_ID_BYTES: Final = 16
_TYPE: Final = "application/octet-stream"
"""The host looks for itself what it is."""


class SendFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `send_file`."""

    path: str
    caption: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    destination: Annotated[str, msgspec.Meta(max_length=63)] | None = None


class Sender:
    """The files that one answer of the model sends.

    Args:
        files: The workspace.
        turn: The turn that runs.
        step: Index of its record that the results will be part of.
        publish: Publishes a part; False when the host does not take it.
        tell: Has the host carry a tool out.
        say: Takes words that take files along to the chat.
    """

    def __init__(
        self,
        files: Beneath,
        turn: str,
        step: int,
        *,
        publish: Callable[[Part], bool],
        tell: Callable[[str, str], str],
        say: Callable[[Say], None],
    ) -> None:
        self._files = files
        self._turn = turn
        self._step = step
        self._publish = publish
        self._tell = tell
        self._say = say
        self._count = 0
        self._bytes = 0

    def run(self, given: SendFile, allowed: frozenset[str]) -> str:
        """Send one file.

        Args:
            given: What the model wants.
            allowed: Names of the tools that the agent may use now.

        Raises:
            ToolError: It cannot be sent.
            OSError: The file system refused it.
        """
        if given.destination is not None and SENDS not in allowed:
            raise ToolError(f"sending to a destination takes the tool {SENDS} too")
        names = self._files.parts(given.path)
        if not names:
            raise ToolError("give the path of a file; list_files shows what there is")
        fd = self._files.open_file(names)
        try:
            found = os.fstat(fd)
            self._check(found.st_size)
            what = (self._turn, self._step, self._count, found.st_size, found.st_mtime_ns)
            digest = sha256("\0".join(map(str, what)).encode())
            file = File(
                id=f"out_{digest[:_ID_BYTES].hex()}",
                name=names[-1][-_NAME_CHARS:],
                media_type=_TYPE,
                size=found.st_size,
            )
            self._count += 1
            self._bytes += file.size
            self._send(fd, file)
        finally:
            os.close(fd)
        shown = f"{'/'.join(names)} ({file.size} bytes)"
        if given.destination is None:
            self._say(Say(text=given.caption, reply_to=self._turn, files=(file.id,)))
            return f"sent {shown} to the chat"
        letter = {"destination": given.destination, "text": given.caption, "files": [file.id]}
        return f"{shown}: {self._tell(SENDS, msgspec.json.encode(letter).decode())}"

    def _check(self, size: int) -> None:
        if size > MAX_FILE_BYTES:
            raise ToolError(f"the file has {size} bytes; at most {MAX_FILE_BYTES} can be sent")
        if self._count >= MAX_FILES or self._bytes + size > MOST_BYTES:
            raise ToolError(
                f"at most {MAX_FILES} files of {MOST_BYTES} bytes together in one answer: "
                "send the others in the next one"
            )

    def _send(self, fd: int, file: File) -> None:
        last = max(0, (file.size - 1) // MAX_PART_BYTES)
        for index in range(last + 1):
            want = min(MAX_PART_BYTES, file.size - index * MAX_PART_BYTES)
            data = _read(fd, index * MAX_PART_BYTES, want)
            if len(data) != want:
                raise ToolError("the file became shorter while it was read; try again")
            part = Part(file.id, index, data, file if index == last else None)
            if not self._publish(part):
                raise ToolError("the host does not take the file now; try again a little later")


def _read(fd: int, offset: int, want: int) -> bytes:
    data = b""
    while len(data) < want and (more := os.pread(fd, want - len(data), offset + len(data))):
        data += more
    return data
