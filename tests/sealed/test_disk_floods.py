"""Real boxes that fill the disk in each way there is: the guard ends every one of them, soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from disk_parts import CAPS, WAYS

if TYPE_CHECKING:
    from conftest import Driven

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(300)]

_WHAT = {"files": "files", "deep": "odd"}
_LATE_S = 10.0
_MUCH = 2 * 1024**3


@pytest.mark.parametrize("way", WAYS)
def test_a_box_that_fills_the_disk_is_ended(driven: Driven, way: str) -> None:
    found = driven.value("floods")[way]

    assert (found["where"], found["what"]) == ("workspace", _WHAT.get(way, "bytes"))
    if found["what"] != "odd":
        assert found["used"] > getattr(CAPS, found["what"])
    # A machine full of other work is slow: these only say that it is no matter of minutes.
    assert found["dead_s"] < _LATE_S
    assert found["bytes"] < _MUCH


def test_what_a_deleted_file_took_is_given_back_with_its_box(driven: Driven) -> None:
    assert driven.value("floods")["nameless"]["files"] == 0
    assert driven.value("floods")["nameless"]["bytes"] < 1024**2
