"""A turn that nobody gets to see, so that the first real one finds all code warm.

A page of code that runs for the first time is a fault, which is dear inside the sandbox; a blank
box has the time for it. Nothing here opens a file or a socket, and nothing is kept.
"""

from __future__ import annotations

from typing import Final

from ironclaw_agent.loop import Loop
from ironclaw_agent.turn import Publish
from ironclaw_contract.chain import Chain
from ironclaw_contract.entries import Answered
from ironclaw_contract.frames import FrameReader, decode_claim, decode_tell, encode_claim, pack
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import KEY_BYTES
from ironclaw_contract.records import Message, Setup
from ironclaw_contract.rpc import ClaimFile, Generate, Generated, Stop
from ironclaw_contract.segment import read_inbound, seal_segment

_NAME: Final = "rehearsal"


def rehearse() -> None:
    """Take a message, ask, hear the answer and seal it."""
    claim = decode_claim(encode_claim(ClaimFile(session=_NAME, epoch=1, key=bytes(KEY_BYTES))))
    into, back = derive(claim.key, Direction.IN), derive(claim.key, Direction.OUT)
    host, box = [
        Chain(into.record, session=_NAME, direction=Direction.IN, epoch=claim.epoch)
        for _ in range(2)
    ]
    told = (
        Setup(agent=_NAME, persona=_NAME, tools=()),
        Message(message=_NAME, sender="", text=_NAME, at_ms=0),
    )
    loop = Loop({})
    for body in read_inbound(into, box, seal_segment(into, host, told).data):
        loop.take(body)
    out = Chain(back.record, session=_NAME, direction=Direction.OUT, epoch=claim.epoch)
    for ask in loop.settle():
        if not isinstance(ask, Generate):
            continue
        pack(ask)
        answer = Generated(call=ask.call, entries=(Answered(text=_NAME),), stop=Stop.END)
        for frame in FrameReader().feed(pack(answer)):
            for command in loop.told(decode_tell(frame)):
                if isinstance(command, Publish):
                    seal_segment(back, out, (command.body,))
