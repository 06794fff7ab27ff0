"""Valid values of every kind that crosses the wall or the link: what the fuzzer starts from."""

from __future__ import annotations

from typing import Final

import msgspec

from ironclaw.airlock import messages as link
from ironclaw.domain.memories import MemoryAct
from ironclaw_contract.chain import Chain, Refusal
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.records import (
    History,
    InboundBody,
    Message,
    OutboundBody,
    Say,
    Setup,
    Step,
    Trouble,
    TurnEnd,
)
from ironclaw_contract.rpc import (
    Cancel,
    ClaimFile,
    Delta,
    Facts,
    Failed,
    Generate,
    Generated,
    Hello,
    ModelAsk,
    ModelTell,
    Stop,
    ToolSpec,
    Use,
    Used,
)

SESSION: Final = "ses_a"
KEY: Final = bytes(range(32))
EPOCH: Final = 1
OUT_KEYS: Final = derive(KEY, Direction.OUT)

_TALK: Final[tuple[Entry, ...]] = (
    Said(message="msg_1", sender="Ann", text="grüße 🙂", at_ms=1_800_000_000_000),
    Called(call="call_1", name="memory", arguments='{"a": 1}'),
    Returned(call="call_1", text="no", is_error=True),
    Answered(text="Hello, Ann."),
)
_FACTS: Final = Facts(
    uid=65532, gid=65532, groups=(65532,), cap_eff=0, cap_prm=0, cap_bnd=0, no_new_privs=True,
    seccomp=2, interfaces=("lo",), routes=0, root_writable=False, in_writable=False,
    kernel="Linux version 4.4.0", processes=1, environment=("PATH",),
)  # fmt: skip

OUTBOUND: Final[tuple[OutboundBody, ...]] = (
    Step(turn="msg_1", index=0, entries=_TALK, says=(Say(text="a", reply_to="msg_1"),)),
    Step(turn="msg_1", index=1, entries=(Answered(text="y" * 9_000),)),
    TurnEnd(turn="msg_1", index=2, entries=(), failed=WireCode.MODEL_REFUSED),
    TurnEnd(turn="msg_1", index=2, entries=_TALK[:1], says=(Say(text="b", reply_to="msg_1"),)),
    Trouble(code=WireCode.INTERNAL, text="a fault"),
)
INBOUND: Final[tuple[InboundBody, ...]] = (
    Setup(agent="helper", persona="Be kind.", tools=("memory",)),
    History(entries=_TALK, turn="msg_1", index=2),
    Message(message="msg_2", sender="Ann", text="hello", at_ms=1, engage=False),
)
HELLOS: Final = (
    Hello(version=1, claimed=False, in_seq=0, out_seq=0, facts=_FACTS),
    Hello(version=1, claimed=True, in_seq=3, out_seq=2),
)
ASKS: Final[tuple[ModelAsk, ...]] = (
    Generate(
        call=1,
        turn="msg_1",
        system="Be kind.",
        entries=_TALK,
        tools=(ToolSpec(name="memory", description="Remember.", parameters="{}"),),
        max_output_tokens=100,
    ),
    Cancel(call=1),
)
TELLS: Final[tuple[ModelTell, ...]] = (
    Delta(call=1, text="Hel"),
    Generated(call=1, entries=(Answered(text="Hello"),), stop=Stop.END, input_tokens=5),
    Failed(call=1, code=WireCode.BUSY, text="later"),
)
USES: Final = (
    Use(call=1, turn="msg_1", key="k1", tool="my_rights", arguments="{}"),
    Use(call=2**53, turn="msg_1", key="k2", tool="request_change", arguments='{"reason": "grüße"}'),
)
USEDS: Final = (
    Used(call=1, text="tools: clock"),
    Used(call=2, text="refused", is_error=True),
)
CLAIM: Final = ClaimFile(session=SESSION, epoch=EPOCH, key=KEY)
FROM_AIRLOCK: Final[tuple[link.FromAirlock, ...]] = (
    link.Ready(controls=("seccomp",), missing=("landlock",)),
    link.Arrived(hello=HELLOS[0]),
    link.KeyTaken(),
    link.Verified(first_seq=1, bodies=OUTBOUND, last_hash=bytes(32)),
    link.Ask(ask=ASKS[0]),
    link.Ask(ask=ASKS[1]),
    link.UseAsked(use=USES[1]),
    link.Gone(),
    link.Hung(),
    link.Here(),
    link.Refused(reason=Refusal.MAC),
    link.Fault(text="OSError: no"),
)
TO_AIRLOCK: Final[tuple[link.ToAirlock, ...]] = (
    link.Bind(session=SESSION, epoch=EPOCH, key=KEY, out_seq=0, out_hash=b""),
    link.Publish(bodies=INBOUND),
    link.Ack(seq=1),
    link.Tell(event=TELLS[0]),
    link.Offer(tools=True),
    link.UseTold(used=USEDS[1]),
    link.Check(),
    link.StandsStill(frozen=True),
)
STARTS: Final[tuple[link.Start, ...]] = (
    link.StartAirlock(path="/s", uid=1, gid=2, box_uid=3, ping_s=60.0, pong_s=30.0),
    link.StartSweep(path="/s", uid=1, gid=2),
    link.StartCount(base="/s", names=("a/b",), uid=1, gid=2, pids=(3,), most_files=4),
    link.StartMemory(
        path="/s", uid=1, gid=2, act=MemoryAct.WRITE, topic="a", session="", was="", size=3
    ),
)
STARTED: Final = link.Started(pid=7)
COUNTED: Final = link.Counted(places=(link.Count(bytes=1, files=2, is_whole=True),), held_bytes=3)

MEMORY_TOLD: Final = link.MemoryTold(
    topics=(link.TopicTold(name="a", bytes=1, notes=2, tainted=1, changed_ms=3),), text=b"x"
)


def encoded(values: tuple[object, ...]) -> tuple[bytes, ...]:
    """Each as msgpack."""
    return tuple(msgspec.msgpack.encode(value) for value in values)


def chain(*, session: str = SESSION, epoch: int = EPOCH) -> Chain:
    """The outbound chain at its beginning."""
    return Chain(OUT_KEYS.record, session=session, direction=Direction.OUT, epoch=epoch)
