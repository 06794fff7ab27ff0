"""The tools that run in the box: from the text of their arguments to their result.

Loaded when the first of them is called.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from ironclaw_agent.tools import memory as notes
from ironclaw_agent.tools.clock import Clock, clock
from ironclaw_agent.tools.edit import EditFile, edit_file
from ironclaw_agent.tools.files import (
    ListFiles,
    ReadFile,
    WriteFile,
    list_files,
    read_file,
    write_file,
)
from ironclaw_agent.tools.search import SearchFiles, search_files
from ironclaw_agent.tools.source import source_of
from ironclaw_agent.tools.todo import Todo, todo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw_agent.tools.trees import Trees
    from ironclaw_contract.entries import Entry

_T = TypeVar("_T", bound=msgspec.Struct)

_SETTLED_NS: Final = 2_000_000_000
"""A directory that changed more recently may change once more without its time showing it."""


class Inside:
    """The tools of one workspace, what is shared beside it, and one memory.

    Args:
        trees: The workspace, and what people share.
        memory: Directory of the agent's notes.
    """

    def __init__(self, trees: Trees, memory: str) -> None:
        self._memory = memory
        self._seen_ns = 0
        self._overview = ""
        self._to_write = msgspec.json.Decoder(notes.MemoryWrite)
        self._tools: dict[str, Callable[[str], str]] = {
            "clock": _tool(Clock, clock),
            "edit_file": _tool(EditFile, lambda given: trees.write(edit_file, given)),
            "list_files": _tool(ListFiles, lambda given: trees.read(list_files, given)),
            "memory_list": _tool(notes.MemoryList, lambda given: notes.memory_list(given, memory)),
            "memory_read": _tool(notes.MemoryRead, lambda given: notes.memory_read(given, memory)),
            "memory_search": _tool(
                notes.MemorySearch, lambda given: notes.memory_search(given, memory)
            ),
            "read_file": _tool(ReadFile, lambda given: trees.read(read_file, given)),
            "search_files": _tool(SearchFiles, lambda given: trees.read(search_files, given)),
            "todo": _tool(Todo, lambda given: todo(given, trees.workspace)),
            "write_file": _tool(WriteFile, lambda given: trees.write(write_file, given)),
        }

    def run(self, name: str, text: str, *, session: str, turn: str, heard: Sequence[Entry]) -> str:
        """Run one tool.

        Args:
            name: One of `specs`.
            text: Its arguments, as JSON.
            session: Whose box this is.
            turn: The turn that runs.
            heard: The turn so far, without the answer that this call is part of.

        Raises:
            ToolError: It cannot be done.
            OSError: The file system refused it.
            ValueError: These are not its arguments.
            RecursionError: Neither, by far.

        Trust:
            `text` is a model's.
        """
        if name == "memory_write":
            source = source_of(session, turn, heard)
            return notes.memory_write(self._to_write.decode(text), self._memory, source)
        return self._tools[name](text)

    def recall(self) -> str:
        """The topics of the memory, read again only when the directory has changed."""
        try:
            changed_ns = os.stat(self._memory).st_mtime_ns  # noqa: PTH116 - pathlib is too dear
            if changed_ns != self._seen_ns:
                self._overview = notes.overview(self._memory)
                is_settled = time.time_ns() - changed_ns > _SETTLED_NS
                self._seen_ns = changed_ns if is_settled else 0
        except OSError:
            # A box without a memory has nothing to recall.
            return ""
        return self._overview


def _tool(arguments: type[_T], do: Callable[[_T], str]) -> Callable[[str], str]:
    decoder = msgspec.json.Decoder(arguments)
    return lambda text: do(decoder.decode(text))
