"""Host tools: one use of an agent is looked up, checked, done, and answered in words.

use: name in the table -> held by the agent now -> done before? -> the tool -> words safe for a box

Nothing is raised to the caller: whatever goes wrong is an answer that the agent can act on. No
answer says where anything is on the host, nor who else there is.
"""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ironclaw.core.errors import HostError, IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.relaying import Limits
from ironclaw.services.host_tools.asking import Asking
from ironclaw.services.host_tools.pace import Pace
from ironclaw.services.host_tools.searching import ConversationSearch
from ironclaw.services.host_tools.sending import Sending
from ironclaw.services.host_tools.standing import Standing
from ironclaw.services.host_tools.tasking import Tasking
from ironclaw.services.host_tools.tool import Call, NotDoneError
from ironclaw_contract.limits import MAX_USED_CHARS
from ironclaw_contract.rpc import Used

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.services.host_tools.asking import Asks, Skills
    from ironclaw.services.host_tools.searching import Finds
    from ironclaw.services.host_tools.sending import Arrivals, Hands, Letters
    from ironclaw.services.host_tools.standing import Requests, Tasks, Usages
    from ironclaw.services.host_tools.tasking import Runs
    from ironclaw.services.host_tools.tool import Taints, Tool
    from ironclaw_contract.rpc import Use

SENT_PER_MINUTE: Final = 30
ASKED_PER_HOUR: Final = 60
RUN_PER_HOUR: Final = 12
SEARCHED_PER_MINUTE: Final = 12
USED_PER_MINUTE: Final = 240
"""Uses of all tools together: each looks into the store, which everybody shares."""
REMEMBERED: Final = 2048
"""Uses whose answers are given again when they are put again."""
_LOOKS: Final = frozenset({"conversation_search", "my_rights", "tasks"})
"""Tools that change nothing, and always say what is so now."""
_WHOSE: Final = re.compile(r"\b(?:agt|ses|slt|cht|tok)_[a-z0-9]+")

_log = get_logger("tools")
_Key = tuple["AgentId", "SessionId", str, str, str]


class Agents(Protocol):
    """Agents as they are now: `ironclaw.store.registry.Registry`."""

    async def agent(self, ref: str) -> Agent:
        """One agent, from memory where nothing has changed. Raises UserError, HostError."""
        ...


async def _no_skills() -> tuple[KeptSkill, ...]:
    return ()


class Parts(NamedTuple):
    """What the tools work with."""

    agents: Agents
    gateway: Asks
    requests: Requests
    letters: Letters
    hands: Hands
    tasks: Tasks
    runs: Runs
    usages: Usages
    finds: Finds
    taints: Taints
    clock: Clock
    limits: Limits = Limits()
    """How far agents may go with each other."""
    files: Arrivals | None = None
    """Waits for files that agents send along."""
    skills: Skills = _no_skills
    """Those that were imported."""


class HostToolService:
    """Implements `services.parts.HostTools`."""

    def __init__(self, parts: Parts) -> None:
        asking = Asking(
            parts.gateway,
            Pace(most=ASKED_PER_HOUR, window_s=3600, clock=parts.clock),
            parts.skills,
            parts.taints,
            parts.letters,
        )
        sending = Sending(
            parts.letters,
            parts.hands,
            Pace(most=SENT_PER_MINUTE, window_s=60, clock=parts.clock),
            parts.limits,
            taints=parts.taints,
            files=parts.files,
        )
        standing = Standing(
            requests=parts.requests, tasks=parts.tasks, usages=parts.usages, taints=parts.taints
        )
        tasking = Tasking(
            book=parts.tasks,
            runs=parts.runs,
            trips=parts.letters,
            pace=Pace(most=RUN_PER_HOUR, window_s=3600, clock=parts.clock),
            taints=parts.taints,
        )
        self._pace = Pace(most=USED_PER_MINUTE, window_s=60, clock=parts.clock)
        self._agents = parts.agents
        finding = ConversationSearch(
            parts.finds, Pace(most=SEARCHED_PER_MINUTE, window_s=60, clock=parts.clock)
        )
        self._tools: dict[str, Tool] = {
            "conversation_search": finding.search,
            "request_change": asking.request,
            "withdraw_change": asking.withdraw,
            "my_rights": standing.tell,
            "run_task": tasking.run,
            "tasks": tasking.tell,
            "send_message": sending.send,
        }
        self._answers: collections.OrderedDict[_Key, str] = collections.OrderedDict()

    async def use(self, agent: AgentId, session: SessionId, use: Use) -> Used:
        """Carry out one use, and say what came of it. Never raises.

        Trust:
            `agent` and `session` are the host's own knowledge; all of `use` is a box's word.
        """
        try:
            text = await self._use(agent, session, use)
        except NotDoneError as error:
            return _used(use, agent, session, error.text, is_error=True)
        except HostError as error:
            _log.error("host_tool_failed", tool=use.tool, agent=agent, code=error.code)
            text = f"{error.code}: that does not work at the moment. Try again later"
            return _used(use, agent, session, text, is_error=True)
        except IronClawError as error:
            return _used(use, agent, session, _why(error), is_error=True)
        return _used(use, agent, session, text)

    async def _use(self, agent: AgentId, session: SessionId, use: Use) -> str:
        tool = self._tools.get(use.tool)
        now = await self._agents.agent(agent)
        if tool is None or use.tool not in now.tools or now.archived:
            raise NotDoneError("not granted: you do not have this tool. Ask your people for it")
        key = (agent, session, use.turn, use.key, use.tool)
        if (known := self._answers.get(key)) is not None:
            return known
        self._pace.take(agent)
        text = await tool(Call(now, session, use.turn, use.key, use.arguments))
        if use.tool not in _LOOKS:
            self._answers[key] = text
            if len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        return text


def _why(error: IronClawError) -> str:
    """What was refused and why, without advice that is for people at a terminal."""
    is_for_people = "`ironclaw" in error.hint
    hint = "" if is_for_people or not error.hint else f" {error.hint}"
    return f"{error.code}: {error.message}{hint}"


def _used(
    use: Use, agent: AgentId, session: SessionId, text: str, *, is_error: bool = False
) -> Used:
    """The answer as it may go into the box: bounded, and about nobody else."""
    own = {agent, session}
    safe = _WHOSE.sub(lambda found: found[0] if found[0] in own else "(somebody)", text)
    return Used(use.call, safe[:MAX_USED_CHARS], is_error=is_error)
