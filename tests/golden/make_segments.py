"""Make the golden corpus of segments. Run once for each contract version; never change old files.

    python tests/golden/make_segments.py tests/golden/segments/v1

`index.json` beside the files says what each decodes to, or why it must be refused. The key is a
test's: it protects nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from ironclaw_contract.chain import Chain
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Returned, Said
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.records import (
    History,
    Message,
    Say,
    Setup,
    Step,
    Trouble,
    TurnEnd,
)
from ironclaw_contract.segment import Body, read_records, seal_segment, write_records

SESSION_KEY = bytes(range(32))
SESSION = "ses_golden"
SAID = Said(message="msg_1", sender="Ann", text="grüße 🙂", at_ms=1_800_000_000_000)
TALK = (
    SAID,
    Called(call="call_1", name="memory", arguments='{"a": 1}'),
    Returned(call="call_1", text="no", is_error=True),
    Answered(text="Hello, Ann."),
)
GOOD: dict[str, tuple[Direction, list[list[Body]]]] = {
    "in": (
        Direction.IN,
        [
            [
                Setup(agent="helper", persona="Be kind.", tools=("memory",)),
                History(entries=TALK, turn="msg_1", index=2),
            ],
            [Message(message="msg_2", sender="Ann", text="hello", at_ms=1, engage=False)],
            [
                Message(message=f"msg_{n}", sender="Ann", text="x" * 5000, at_ms=n)
                for n in range(3, 9)
            ],
        ],
    ),
    "out": (
        Direction.OUT,
        [
            [Step(turn="msg_1", index=0, entries=TALK, says=(Say(text="a", reply_to="msg_1"),))],
            [
                TurnEnd(turn="msg_1", index=1, entries=(), failed=WireCode.MODEL_REFUSED),
                Trouble(code=WireCode.INTERNAL, text="a fault"),
            ],
        ],
    ),
}


def main(target: Path) -> None:
    """Write the corpus into an empty directory."""
    target.mkdir(parents=True)
    index: dict[str, object] = {
        "session_key": SESSION_KEY.hex(),
        "session": SESSION,
        "epoch": 1,
        "good": {},
        "refused": {},
    }
    for name, (direction, segments) in GOOD.items():
        keys = derive(SESSION_KEY, direction)
        chain = Chain(keys.record, session=SESSION, direction=direction, epoch=1)
        rows = []
        for number, bodies in enumerate(segments, 1):
            sealed = seal_segment(keys, chain, bodies)
            file = f"{name}-{number}.seg"
            (target / file).write_bytes(sealed.data)
            rows.append(
                {
                    "file": file,
                    "name": sealed.name,
                    "last_hash": sealed.last_hash.hex(),
                    "bodies": [msgspec.to_builtins(body) for body in bodies],
                }
            )
        index["good"][name] = rows  # type: ignore[index] - a dict of our own, above
    for file, (reason, data) in refused().items():
        (target / file).write_bytes(data)
        index["refused"][file] = reason  # type: ignore[index] - same
    (target / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n")


def refused() -> dict[str, tuple[str, bytes]]:
    """First segments of `in` that must be refused, and for which reason."""
    keys = derive(SESSION_KEY, Direction.IN)

    def chain(session: str = SESSION, epoch: int = 1) -> Chain:
        return Chain(keys.record, session=session, direction=Direction.IN, epoch=epoch)

    body = Message(message="msg_1", sender="Ann", text="hello", at_ms=1)
    good = seal_segment(keys, chain(), [body, body]).data
    rows = read_records(keys.page, good)
    flipped = bytearray(good)
    flipped[5000] ^= 1
    late = chain()
    seal_segment(keys, late, [body])
    return {
        "bad-flipped.seg": ("format", bytes(flipped)),
        "bad-truncated.seg": ("size", good[:-1]),
        "bad-half.seg": ("size", good[:4096]),
        "bad-foreign-key.seg": (
            "format",
            seal_segment(derive(bytes(32), Direction.IN), chain(), [body]).data,
        ),
        "bad-session.seg": ("order", seal_segment(keys, chain("ses_other"), [body]).data),
        "bad-epoch.seg": ("order", seal_segment(keys, chain(epoch=2), [body]).data),
        "bad-gap.seg": ("gap", seal_segment(keys, late, [body]).data),
        "bad-mac.seg": ("mac", write_records(keys.page, [rows[0]._replace(mac=bytes(32))])),
        "bad-cut.seg": ("gap", write_records(keys.page, [rows[1]])),
        "bad-kind.seg": ("mac", write_records(keys.page, [rows[0]._replace(kind="setup")])),
        "bad-body.seg": (
            "body",
            write_records(keys.page, [chain().seal("message", b"\x81\xa4kind\xa7message")]),
        ),
        "bad-empty.seg": ("schema", write_records(keys.page, [])),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
