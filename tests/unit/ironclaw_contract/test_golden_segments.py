"""Segments of every released contract version decode for ever, and the bad ones never do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironclaw_contract.chain import Chain, SegmentError
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.records import InboundBody, OutboundBody
from ironclaw_contract.segment import read_inbound, read_outbound

GOLDEN = Path(__file__).parents[2] / "golden" / "segments"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir())


def index(version: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDEN / version / "index.json").read_text())
    return loaded


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("direction", list(Direction))
def test_good_segments_decode_to_what_they_were(version: str, direction: Direction) -> None:
    what = index(version)
    keys = derive(bytes.fromhex(what["session_key"]), direction)
    chain = Chain(keys.record, session=what["session"], direction=direction, epoch=what["epoch"])
    read = read_inbound if direction is Direction.IN else read_outbound
    for row in what["good"][direction]:
        bodies = read(keys, chain, (GOLDEN / version / row["file"]).read_bytes())
        # What was added later has its default in what was written before.
        kinds = InboundBody if direction is Direction.IN else OutboundBody
        assert list(bodies) == [msgspec.convert(body, kinds) for body in row["bodies"]]
        assert chain.last.hex() == row["last_hash"]


@pytest.mark.parametrize("version", VERSIONS)
def test_bad_segments_are_refused_for_their_reason(version: str) -> None:
    what = index(version)
    keys = derive(bytes.fromhex(what["session_key"]), Direction.IN)
    found = {}
    for file in what["refused"]:
        chain = Chain(
            keys.record, session=what["session"], direction=Direction.IN, epoch=what["epoch"]
        )
        with pytest.raises(SegmentError) as caught:
            read_inbound(keys, chain, (GOLDEN / version / file).read_bytes())
        found[file] = caught.value.reason.value
        assert chain.seq == 0
    assert found == what["refused"]
