"""One greedy box: others are answered as usual, and whoever started it gets a clear word.

`ironclaw prove` measures both in one run: a sibling's messages before and during, in a house with
real boxes, where the greedy one takes disk, memory, processors, threads, files and log at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.prove.house.greed_scenes import BEATS, FLOOR_MS

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.hostile, pytest.mark.timeout(300)]

_CHECK = "resources.everything_at_once"


def test_a_sibling_of_a_greedy_box_is_answered_within_twice_the_usual_p99(house: House) -> None:
    said = house.cli("prove", "--only", _CHECK, "--json", timeout_s=200)
    assert "rows" in said.told, said
    (row,) = said.told["rows"]
    measured = row["measured"]

    # "the sibling goes on" also says that each person's word had the code of what was taken.
    assert (row["outcome"], row["passed"]) == ("the sibling goes on", True), measured
    assert measured["messages"] >= max(60, BEATS)
    assert measured["lost"] == 0
    assert measured["boxes_ended"] >= 1
    assert measured["p99_ms"] <= 2 * measured["usual_p99_ms"] + FLOOR_MS


def test_without_its_limits_a_greedy_box_would_go_on_for_ever(house: House) -> None:
    said = house.cli("prove", "--only", _CHECK, "--twins", "--json", timeout_s=200)
    assert "twin_rows" in said.told, said
    (row,) = said.told["twin_rows"]

    assert row["caught"], row
