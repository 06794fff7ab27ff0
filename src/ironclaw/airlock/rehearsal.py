"""A round trip that nobody gets to see, so that the first real one finds the airlock warm.

A fork shares the zygote's pages until it touches them, and each first touch is a fault. While the
box is being started there is time for that. Nothing here opens a file or a socket.
"""

from __future__ import annotations

from typing import Final

from ironclaw.airlock import messages
from ironclaw.airlock.messages import Ask, Bind, Publish, Verified, decode_to_airlock
from ironclaw_contract.chain import Chain
from ironclaw_contract.entries import Answered
from ironclaw_contract.frames import FrameReader, decode_ask, encode_claim, pack
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import KEY_BYTES
from ironclaw_contract.records import Message, Say, TurnEnd
from ironclaw_contract.rpc import ClaimFile, Generate
from ironclaw_contract.segment import read_outbound, seal_all

_NAME: Final = "rehearsal"


def rehearse() -> None:
    """Be bound, publish a message, pass a question on and verify the answer."""
    frames = FrameReader()
    key = bytes(KEY_BYTES)
    bind = Bind(session=_NAME, epoch=1, key=key, out_seq=0, out_hash=b"")
    for body in frames.feed(messages.pack(bind)):
        decode_to_airlock(body)
    encode_claim(ClaimFile(session=_NAME, epoch=1, key=key))
    into, back = derive(key, Direction.IN), derive(key, Direction.OUT)
    told = Message(message=_NAME, sender="", text=_NAME, at_ms=0)
    for body in frames.feed(messages.pack(Publish(bodies=(told,)))):
        decode_to_airlock(body)
    seal_all(into, Chain(into.record, session=_NAME, direction=Direction.IN, epoch=1), (told,))
    ask = Generate(call=1, turn=_NAME, system=_NAME, entries=(), tools=(), max_output_tokens=1)
    for body in frames.feed(pack(ask)):
        messages.pack(Ask(ask=decode_ask(body)))
    box, host = [
        Chain(back.record, session=_NAME, direction=Direction.OUT, epoch=1) for _ in range(2)
    ]
    end = TurnEnd(
        turn=_NAME,
        index=0,
        entries=(Answered(text=_NAME),),
        says=(Say(text=_NAME, reply_to=_NAME),),
    )
    for sealed in seal_all(back, box, (end,)):
        bodies = read_outbound(back, host, sealed.data)
        verified = Verified(first_seq=sealed.first_seq, bodies=bodies, last_hash=host.last)
        messages.pack(verified)
