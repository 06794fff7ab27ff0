"""The table of tools: name, what the model is told, what is done.

`Toolbox.run_all` is the only way to run one. Whatever a model wrote ends as a result for it: a tool
that is unknown, not granted, or called with anything but its arguments is answered, never raised.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw_agent.tools.errors import ToolError
from ironclaw_agent.tools.host import SPECS as HOST_SPECS
from ironclaw_agent.tools.specs import ASK, RESEARCH, SEND_FILE, SPECS, TELL
from ironclaw_contract.entries import Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ironclaw_agent.parcels import Parcels
    from ironclaw_agent.tools.host import HostTools
    from ironclaw_agent.tools.inside import Inside
    from ironclaw_agent.tools.send_file import Sender
    from ironclaw_agent.tools.trees import Trees
    from ironclaw_contract.entries import Called, Entry, Said
    from ironclaw_contract.records import Part, Say
    from ironclaw_contract.rpc import ToolSpec

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
        memory: Directory of the agent's notes.
        shared: Directory of what people share with the agent.
    """

    def __init__(self, workspace: str, host: HostTools, *, memory: str, shared: str) -> None:
        self._host = host
        self._workspace, self._shared, self._memory = workspace, shared, memory
        self._inside: Inside | None = None
        self._session = ""
        self._turn = ""
        self._heard: Sequence[Entry] = ()
        self._allowed: frozenset[str] = frozenset()
        self._step = 0
        self._parcels: Parcels | None = None
        self._sender: Sender | None = None
        self._says: list[Say] = []
        self._told = 0
        self.publish: Callable[[Part], bool] = lambda _part: False
        """Publishes a part of a file: the link's."""
        tools = (
            *(_Tool(spec, self._by_us(spec.name)) for spec in SPECS),
            _Tool(SEND_FILE, self._send_file),
            _Tool(TELL, self._tell),
            *(_Tool(spec, self._by_host(spec.name)) for spec in HOST_SPECS),
            _Tool(ASK, _done_by_turn),
            _Tool(RESEARCH, _done_by_turn),
        )
        self._tools = {tool.spec.name: tool for tool in tools}
        self.specs: Mapping[str, ToolSpec] = {name: tool.spec for name, tool in self._tools.items()}

    def belong(self, session: str) -> None:
        """From now on this is the box of that session: what is noted says so."""
        self._session = session

    def recall(self) -> str:
        """The topics of the agent's memory in a few lines; empty when there are none."""
        return self._hands().recall()

    def run_all(
        self,
        calls: Sequence[Called],
        *,
        allowed: frozenset[str],
        turn: str,
        step: int,
        heard: Sequence[Entry],
    ) -> list[Returned]:
        """Run the calls of one answer, in order; one result each.

        Args:
            calls: What the model wants.
            allowed: Names of the tools that the agent may use now.
            turn: The turn that runs.
            step: Index of the record that the results will be part of.
            heard: The turn so far, without that answer.
        """
        self._host.begin(turn, step)
        self._turn, self._heard = turn, heard
        self._allowed, self._step, self._sender = allowed, step, None
        self._says, self._told = [], 0
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

    def take_says(self) -> tuple[Say, ...]:
        """What the tools of the last answer have for people."""
        says, self._says = tuple(self._says), []
        return says

    def take_part(self, part: Part) -> None:
        """Take a part of a file that comes with a message. Raises ContractError."""
        self._inbox().take(part)

    def describe(self, said: Said) -> Said:
        """A message with files, as the model is told of it."""
        return self._inbox().describe(said)

    def _trees(self) -> Trees:
        # Who calls no tool does not pay for their modules, and no start does.
        from ironclaw_agent.tools.trees import Trees  # noqa: PLC0415

        return Trees(self._workspace, self._shared)

    def _inbox(self) -> Parcels:
        if self._parcels is None:
            from ironclaw_agent.parcels import Parcels  # noqa: PLC0415

            self._parcels = Parcels(self._trees().workspace)
        return self._parcels

    def _hands(self) -> Inside:
        if self._inside is None:
            from ironclaw_agent.tools.inside import Inside  # noqa: PLC0415

            self._inside = Inside(self._trees(), self._memory)
        return self._inside

    def _send_file(self, text: str) -> str:
        import msgspec  # noqa: PLC0415 - loaded already; not by what only looks at the table

        from ironclaw_agent.tools.send_file import Sender, SendFile  # noqa: PLC0415

        given = msgspec.json.decode(text, type=SendFile)
        if self._sender is None:
            self._sender = Sender(
                self._trees().workspace,
                self._turn,
                self._step,
                publish=self.publish,
                tell=self._host.use,
                say=self._says.append,
            )
        return self._sender.run(given, self._allowed)

    def _tell(self, text: str) -> str:
        import msgspec  # noqa: PLC0415 - as above

        from ironclaw_agent.tools.tell import Tell, tell, told  # noqa: PLC0415

        before, self._told = told(self._heard) + self._told, self._told + 1
        given = msgspec.json.decode(text, type=Tell)
        self._says.append(tell(given, turn=self._turn, before=before))
        return "said to the chat; go on"

    def _by_us(self, name: str) -> Callable[[str], str]:
        return lambda text: self._hands().run(
            name, text, session=self._session, turn=self._turn, heard=self._heard
        )

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


def _done_by_turn(arguments: str) -> str:
    """The turn machine takes these calls out before anything is run."""
    del arguments
    raise ToolError("this cannot be done now")


def _safe(error: Exception) -> str:
    """What a decoder found wrong; its words name fields and types."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return _cut(str(error).encode("utf-8", "replace").decode(), 300)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "\n[cut here: the result is too long]"
