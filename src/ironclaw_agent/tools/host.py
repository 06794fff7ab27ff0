"""The tools that the host carries out: what the agent asks of its people, and what it may do.

    Toolbox.run_all -> begin -> use -> tools.sock: `Use` out, `Used` back

The socket is there only while the agent holds such a tool: its absence is a refusal. Nothing of the
arguments is parsed here; the host decides. A use blocks the program, bell included, so all uses of
one answer share `WAIT_S`, well below what the watchdog allows.
"""

from __future__ import annotations

import _socket  # `socket` would import a dozen modules more
import time
from typing import TYPE_CHECKING, Final

from ironclaw_agent.tools.errors import ToolError
from ironclaw_contract.frames import FrameReader, decode_used, pack
from ironclaw_contract.hashing import sha256
from ironclaw_contract.limits import MAX_ARGUMENTS_CHARS, MAX_TOOL_FRAME_BYTES
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import ToolSpec, Use

if TYPE_CHECKING:
    from ironclaw_contract.rpc import Used

WAIT_S: Final = 10.0
"""For all uses of one answer of the model together."""
_AGAIN_S: Final = 0.05
_CHUNK: Final = 64 * 1024
_KEY_BYTES: Final = 16

_SLOW: Final = (
    "the host did not answer in time. It may have been done all the same: find out with my_rights, "
    "if there is that tool, before asking again"
)
_LOST: Final = (
    "the host could not be reached. It may have been done all the same: find out with my_rights, "
    "if there is that tool, and try again a little later"
)


class HostTools:
    """The way to the host.

    Args:
        path: Of `tools.sock`.
        wait_s: Seconds for all uses of one answer.
    """

    def __init__(self, path: str, *, wait_s: float = WAIT_S) -> None:
        self._path = path
        self._wait_s = wait_s
        self._calls = 0
        self._turn = ""
        self._step = 0
        self._number = 0
        self._deadline = 0.0

    def begin(self, turn: str, step: int) -> None:
        """The calls of one answer come now.

        Args:
            turn: The turn they belong to.
            step: Its step that their results will be part of.
        """
        self._turn = turn
        self._step = step
        self._number = 0
        self._deadline = time.monotonic() + self._wait_s

    def use(self, tool: str, arguments: str) -> str:
        """Have the host do something; return what it says.

        Raises:
            ToolError: It refused, could not be reached, or did not answer in time.

        Trust:
            `arguments` is a model's text, and stays one.
        """
        self._number += 1
        if len(arguments) > MAX_ARGUMENTS_CHARS:
            raise ToolError(f"the arguments are longer than {MAX_ARGUMENTS_CHARS} characters")
        used = self._put(tool, arguments, again=True)
        if used.is_error:
            raise ToolError(used.text)
        return used.text

    def _put(self, tool: str, arguments: str, *, again: bool) -> Used:
        self._calls += 1
        use = Use(
            call=self._calls,
            turn=self._turn,
            key=self._key(tool, arguments),
            tool=tool,
            arguments=arguments,
        )
        try:
            return self._exchange(use)
        except FileNotFoundError as error:
            raise ToolError(f"this agent may not use {tool} now") from error
        except TimeoutError as error:
            raise ToolError(_SLOW) from error
        except (OSError, ContractError) as error:
            if not again:
                raise ToolError(_LOST) from error
        # The airlock was replaced, or the right taken away: then the socket is gone by now.
        time.sleep(_AGAIN_S)
        return self._put(tool, arguments, again=False)

    def _key(self, tool: str, arguments: str) -> str:
        """One for each use of a turn, and the same if the step runs again after a kill.

        A model may use one call id twice, or another one for the same thing.
        """
        what = f"{self._step}\0{self._number}\0{tool}\0{arguments}"
        return sha256(what.encode())[:_KEY_BYTES].hex()

    def _exchange(self, use: Use) -> Used:
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.settimeout(self._left_s())
            connection.connect(self._path)
            connection.sendall(pack(use, limit=MAX_TOOL_FRAME_BYTES))
            frames = FrameReader(limit=MAX_TOOL_FRAME_BYTES)
            while True:
                connection.settimeout(self._left_s())
                data = connection.recv(_CHUNK)
                if not data:
                    raise ConnectionResetError
                for body in frames.feed(data):
                    used = decode_used(body)
                    if used.call == use.call:
                        return used
        finally:
            connection.close()

    def _left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


_CHANGES: Final = (
    "`change` is an object: `kind` and what that kind needs.\n"
    "- tools: `add`, `remove` (lists of tool names)\n"
    "- persona: `persona` (the whole new text)\n"
    "- model: `model`; if they are to change, `fallbacks`, `temperature_hundredths`, "
    "`max_output_tokens`, `thinking` (off, low, medium, high); `default` (names of the last three) "
    "puts them back to the provider's own\n"
    "- limits: those to change of `memory_bytes`, `cpu_millis`, `pids`, `files`, `file_bytes`, "
    "`disk_bytes`, `disk_files`, `pool_size`, `max_steps`, `turn_s`, `turn_total_s`, "
    "`calls_per_day`, `calls_per_session`, `tokens_per_day`, `tokens_per_session`, "
    "`money_per_day`, `money_per_session` (money in millionths); `unlimited` (a list of their "
    "names) puts them back to the house's own\n"
    "- destination.add: `name`, `channel`, `platform_id` of a chat that you may then send to, or "
    "channel `agent` and as `platform_id` the name of another agent; "
    "destination.remove: `name`\n"
    "- mount.add: `name`, `path` of a directory that you may then read below /shared; "
    "mount.remove: `name`\n"
    "- skill.add: `name` (and `digest`, if it is known) of a skill that your people have imported, "
    "which you may then read below /shared/skills; skill.remove: `name`\n"
    "- task.add: `name`, `prompt`, `zone` (UTC unless told), and one of `cron`, `every_s`, `at` "
    "(once, as 2027-01-31T08:30): have yourself asked at a time, in the chat you are in; if you "
    "like, `channel` and `platform_id` of another chat, `misfire` (`once`: a missed time is told "
    "late, `skip`: left out), `late_s`, `quiet` (an answer of exactly NOTHING TO REPORT is not "
    "delivered); task.update: `name`, and what of these is to change; task.pause, task.resume: "
    "`name`; task.remove: `name`, and its `task` id if only that very one is meant\n"
    "- agent.create: `name`, `persona`, `model`, `tools`, `pool_size` of another agent"
)

SPECS: Final = (
    ToolSpec(
        name="conversation_search",
        description="Search what was said in this chat and thread, long ago or before /new. What "
        "has all of the words comes first, then the newest.",
        parameters='{"type":"object","properties":{'
        '"query":{"type":"string","minLength":1,"maxLength":500,"description":"Words."},'
        '"before":{"type":"string","format":"date-time",'
        '"description":"Only what was said before, as 2026-11-26T05:14:00Z."}},'
        '"required":["query"],"additionalProperties":false}',
    ),
    ToolSpec(
        name="my_rights",
        description="Tell what this agent may do and use now, and which of its requests are open. "
        "Look here before you ask for a change.",
        parameters='{"type":"object","properties":{},"additionalProperties":false}',
    ),
    ToolSpec(
        name="request_change",
        description="Ask the people of this agent for a change of what it is or may do. A person "
        "decides, maybe much later; nothing has changed until then, and you are told of the "
        "outcome in a later turn. Ask for no more than you need, once; what was denied is not "
        f"asked for again. {_CHANGES}",
        parameters='{"type":"object","properties":{'
        '"change":{"type":"object","description":"What shall be.",'
        '"properties":{"kind":{"type":"string"}},"required":["kind"]},'
        '"reason":{"type":"string","minLength":1,"maxLength":2000,'
        '"description":"Why, in words for the person who decides."},'
        '"for_s":{"type":"integer","minimum":60,"maximum":31622400,'
        '"description":"Seconds after which it is taken back again; for good if left out."}},'
        '"required":["change","reason"],"additionalProperties":false}',
    ),
    ToolSpec(
        name="run_task",
        description="Have one of this agent's tasks told now, beside its times. It comes to you "
        "after this turn, in the chat that it has; the tool tasks lists them. In a turn that has "
        "read what is not from your people only they do that.",
        parameters='{"type":"object","properties":{'
        '"name":{"type":"string","description":"Name of the task."}},'
        '"required":["name"],"additionalProperties":false}',
    ),
    ToolSpec(
        name="send_message",
        description="Send a message to one of the destinations of this agent. Your answer to the "
        "chat you are in needs no tool; my_rights lists the destinations. What another agent "
        "answers comes back here later, as a message of `agent NAME`: end your turn meanwhile.",
        parameters='{"type":"object","properties":{'
        '"destination":{"type":"string","description":"Name of the destination."},'
        '"text":{"type":"string","minLength":1,"maxLength":16000,"description":"What to say."}},'
        '"required":["destination","text"],"additionalProperties":false}',
    ),
    ToolSpec(
        name="tasks",
        description="List what this agent does at times of its own, and what came of it last.",
        parameters='{"type":"object","properties":{},"additionalProperties":false}',
    ),
    ToolSpec(
        name="withdraw_change",
        description="Take back a request of this agent that nobody has decided on.",
        parameters='{"type":"object","properties":{'
        '"change":{"type":"string","description":"Id of the request, as request_change gave it."}},'
        '"required":["change"],"additionalProperties":false}',
    ),
)
"""What the model is told of them."""
