"""What an airlock says that the core works out for itself."""

from __future__ import annotations

import pytest

from ironclaw.domain.wall import Outbound
from ironclaw_contract.records import Summary


@pytest.mark.parametrize(("first", "count", "last"), [(1, 1, 1), (7, 1, 7), (7, 3, 9)])
def test_the_last_record_of_a_segment(first: int, count: int, last: int) -> None:
    """Its number is that of the first and as many more as follow it: what is acknowledged."""
    bodies = tuple(Summary(turn="msg_1", text=str(number)) for number in range(count))

    assert Outbound(first, bodies, last_hash=b"").last_seq == last
