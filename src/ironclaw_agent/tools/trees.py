"""Which directory a path is of: the workspace, or what people share with the agent, read-only.

A path that is `/shared` or begins with `/shared/` is of what is shared, any other of the workspace.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from ironclaw_agent.tools.beneath import Beneath
from ironclaw_agent.tools.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

_WORKSPACE: Final = "/workspace"
_SHARED: Final = "/shared"
_OS_WORDS: Final = {
    errno.ENOENT: f"no such thing is shared; list_files {_SHARED} shows what is",
    errno.EACCES: "who shares this has not made it readable for you; ask your people to",
}


class _Pointing(Protocol):
    """Arguments with the path that a model wrote."""

    @property
    def path(self) -> str: ...


_Given = TypeVar("_Given", bound=_Pointing)


class Trees:
    """The two directories, and which of them a tool gets to work on.

    Args:
        workspace: Directory of the session's files.
        shared: Directory of what people share.
    """

    def __init__(self, workspace: str, shared: str) -> None:
        self.workspace = Beneath(workspace, _WORKSPACE)
        self._shared = Beneath(shared, _SHARED, prefix=f"{_SHARED}/")

    def read(self, tool: Callable[[_Given, Beneath], str], given: _Given) -> str:
        """Run a tool that only reads, on the directory that its path is of.

        Raises:
            ToolError: The path is of neither, or nothing that can be read is shared there.
            OSError: As the tool.
        """
        if not self._shared.has(given.path):
            if given.path.startswith("/") and not self.workspace.has(given.path):
                raise ToolError(f"only files below {_WORKSPACE} and {_SHARED} can be reached")
            return tool(given, self.workspace)
        try:
            return tool(given, self._shared)
        except OSError as error:
            words = _OS_WORDS.get(error.errno or 0)
            if error.errno == errno.ENOENT and not self._shared.parts(given.path):
                words = "nothing is shared with you"
            if words is None:
                raise
            raise ToolError(words) from error

    def write(self, tool: Callable[[_Given, Beneath], str], given: _Given) -> str:
        """Run a tool that changes a file, which only the workspace allows.

        Raises:
            ToolError: The path is of what is shared.
            OSError: As the tool.
        """
        if self._shared.has(given.path):
            raise ToolError(
                f"what people share below {_SHARED} is read-only; "
                f"write a file of your own below {_WORKSPACE}"
            )
        return tool(given, self.workspace)
