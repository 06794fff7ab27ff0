"""Attacks on sockets that are more than one order, and looks at the host while one goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import SessionId
from ironclaw.domain.model import Agent
from ironclaw.domain.wall import Asked, Tampered
from ironclaw.models.provider import Registry
from ironclaw.models.service import ModelLimits, ModelService
from ironclaw.prove.wire.cells import AGENT, ENDED, SILENCE, TAMPER
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Cancel, Failed, Generate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin
    from ironclaw.prove.wire.cells import Cell
    from ironclaw_contract.rpc import ModelTell

NEIGHBOUR: Final = "prove-neighbour"
"""The slot of another session."""
CANDID: Final = "candid-core"
"""The twin whose core tells a box what happened."""
_MAX_CALLS: Final = 4
_FOREIGN: Final = 15
"""A call that no other attack puts."""
_HELLO_S: Final = 19.0
"""The agent waits for its part of it to be cut off: longer than ten seconds."""


def open_calls(cell: Cell) -> str:
    """Whether the core heard of few calls."""
    asked = sum(isinstance(ask, Generate) for ask in cell.asks)
    return "bounded" if 0 < asked <= _MAX_CALLS else f"unbounded: {asked}"


def foreign_cancels(cell: Cell) -> str:
    """Whether the core heard that this call is to end; a former attack's may end meanwhile."""
    return "cancelled" if Cancel(call=_FOREIGN) in cell.asks else "ignored"


async def calls(_lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    """The core is slow: no call ends meanwhile."""
    return await _unanswered(cell, "calls", open_calls)


async def cancel_foreign(_lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    """The call stays open: nobody answers it."""
    return await _unanswered(cell, "cancel_foreign", foreign_cancels, call=_FOREIGN)


async def _unanswered(
    cell: Cell, attack: str, look: Callable[[Cell], str], *, call: int = 0
) -> str:
    async def wait(_ask: Generate) -> None:
        return None

    answer, cell.answer = cell.answer, wait
    try:
        return await cell.order(attack, at_step=look, call=call)
    finally:
        cell.answer = answer


async def early(_lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    """Put a fresh airlock in front of a box that says to be blank, and give it no session."""
    word = await cell.order("early")
    if word != "armed":
        return word
    await cell.replace()
    try:
        while (event := await cell.heard(cell.patience_s)) is not None:
            if isinstance(event, Tampered):
                return TAMPER + event.reason
            if isinstance(event, Asked):
                return "asked"
    except TimeoutError:
        return SILENCE
    return ENDED


async def slow_hello(_lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    """Wait longer than others do."""
    return await cell.order("slow_hello", patience_s=_HELLO_S)


async def reach(lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    """Name every path that could lead to another session's sockets."""
    slots = cell.directory.path.parent
    places = (slots / NEIGHBOUR / "run", "/shared/run", f"/run/ironclaw/../{NEIGHBOUR}/run")
    paths = [f"{place}/{name}" for place in places for name in ("bell.sock", "model.sock")]
    paths.append(str(lab.host_socket))
    return await cell.order("reach", paths=paths)


class _Leaky:
    """A provider whose failure says everything. Implements `models.provider.Provider`."""

    def __init__(self, lab: Lab) -> None:
        self.words = f"Traceback: {lab.settings.state_dir}/provider.py: key {lab.mark} refused"

    async def generate(
        self, _agent: Agent, _session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """Fail, in one of two ways."""
        if request.call % 2:
            raise HostError(Code.MODEL_FAILED, self.words, hint=self.words, detail=self.words)
        yield Failed(call=request.call, code=WireCode.MODEL_REFUSED, text=self.words)


async def listen(lab: Lab, cell: Cell, twin: Twin | None) -> str:
    """Production's model service between a provider that blabs and a box that listens."""
    provider = _Leaky(lab)
    service = ModelService(Registry({"leaky": provider}), limits=ModelLimits(attempts=1))
    agent = Agent(id=AGENT, name="prove", model="leaky")
    is_candid = twin is not None and twin.name == CANDID

    async def ask(request: Generate) -> ModelTell | None:
        if is_candid:
            return Failed(call=request.call, code=WireCode.INTERNAL, text=provider.words[:500])
        async for event in service.generate(agent, SessionId("ses_prove"), request):
            return event
        return None

    answer, cell.answer = cell.answer, ask
    half = len(lab.mark) // 2
    try:
        return await cell.order("listen", mark_parts=[lab.mark[:half], lab.mark[half:]])
    finally:
        cell.answer = answer
