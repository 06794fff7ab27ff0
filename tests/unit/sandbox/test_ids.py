"""Ranges of host ids: apart where there are enough, never the core's own, refused when too few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.errors import HostError
from ironclaw.sandbox.ids import LANES, id_range, mapped_ids

ALL = 2**32 - 1
lanes = st.integers(0, LANES - 1)


@given(lanes, lanes)
def test_agents_never_share_ids_when_root_has_all(one: int, two: int) -> None:
    a, b = id_range(ALL, one), id_range(ALL, two)

    assert a.own
    assert one == two or a.base + a.size <= b.base or b.base + b.size <= a.base
    assert a.base + a.size <= ALL


@given(st.integers(0, ALL), lanes)
def test_a_box_is_never_id_0_and_never_beyond_what_is_mapped(mapped: int, lane: int) -> None:
    try:
        ids = id_range(mapped, lane)
    except HostError as error:
        assert mapped <= 65533
        assert error.hint  # noqa: PT017 - raised or not, both are right here
        return
    assert ids.base > 0
    assert ids.base + ids.size <= mapped
    assert ids.box_uid < ids.base + ids.size
    assert ids.airlock_uid not in {ids.box_uid, 0}


def test_a_usual_nest_has_one_range_for_all() -> None:
    assert id_range(65537, 0) == (1, 65536, False)
    assert id_range(65537, 9) == (1, 65536, False)
    assert id_range(65536, 0) == (1, 65535, False)


def test_a_wide_nest_keeps_agents_apart() -> None:
    one, two = id_range(1 + 3 * 65536, 0), id_range(1 + 3 * 65536, 2)

    assert one.own
    assert two.base == 1 + 2 * 65536


@pytest.mark.parametrize("lane", [-1, LANES])
def test_a_lane_out_of_range_is_a_bug(lane: int) -> None:
    with pytest.raises(ValueError, match="lane"):
        id_range(ALL, lane)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("         0          0 4294967295\n", ALL),
        ("0 1001 1\n1 100000 65536\n", 65537),
        ("1 100000 65536\n0 1001 1\n", 65537),
        ("0 1001 1\n5 100000 65536\n", 1),
        ("5 100000 65536\n", 0),
        ("", 0),
    ],
)
def test_mapped_ids_are_counted_without_gaps(text: str, count: int) -> None:
    assert mapped_ids(text) == count
