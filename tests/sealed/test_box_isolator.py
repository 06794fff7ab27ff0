"""The isolator on a real runsc keeps every promise of the port, as root and as an ordinary user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.sandbox.slotdir import LOG_BYTES
from ironclaw.testing.isolator_kit import CHECKS

if TYPE_CHECKING:
    from conftest import Driven

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(300)]


@pytest.mark.parametrize("check", CHECKS)
def test_runsc_passes_the_conformance_kit(driven: Driven, check: str) -> None:
    driven.value(f"kit.{check}")


def test_a_new_core_finds_and_ends_the_boxes_of_the_last_one(driven: Driven) -> None:
    assert driven.value("adopted") is True


def test_launches_that_are_broken_off_leave_nothing(driven: Driven) -> None:
    found = driven.value("broken_off")
    assert found["early"] > 1
    assert found["groups"] == []
    assert [each for each in found["processes"] if each] == []
    assert (found["twin"] > 0) == found["is_usable"]


def test_a_box_that_a_killed_core_was_starting_is_found_by_the_next_one(driven: Driven) -> None:
    """And not by one that does not wait for it: that one would leave it behind."""
    found = driven.value("orphaned")
    assert found["settled"] is True
    assert found["left settled"] == []
    assert found["at once"] is False


def test_a_box_over_its_memory_is_told_apart_from_one_that_ended(driven: Driven) -> None:
    report = driven.value("report")
    if report["cgroups"]:
        assert driven.value("oom") == "oom"
    else:
        # Nothing enforces it here, and the receipt says so.
        assert "no cgroup limit on memory, cpu, pids" in report["receipt"]["weaker"]


def test_a_box_that_waits_stands_still_once_it_is_frozen(driven: Driven) -> None:
    found = driven.value("frozen")["waits"]
    assert found == {"awake": False, "still": True, "grew": 0, "after": False, "gone": False}


def test_one_that_computes_is_not_taken_for_still_and_its_work_is_counted(driven: Driven) -> None:
    """It runs on without its sentry, and could go on filling a file that it has mapped."""
    found = driven.value("frozen")["computes"]
    assert not found["still"]
    assert found["grew"] > 0


def test_what_runsc_says_of_a_box_has_an_end(driven: Driven) -> None:
    found = driven.value("log")
    assert found["refused"] == "No space left on device"
    assert found["size"] <= LOG_BYTES
    assert found["goes_on"]
    assert not found["left"]


def test_nothing_is_left_when_all_slots_are_discarded(driven: Driven) -> None:
    assert driven.results["left"] == []
    assert not (driven.runtime / "keeper.json").exists()
    assert not (driven.runtime / "runsc").exists()
    assert not (driven.runtime / "bundles").exists()


def test_what_a_box_wrote_to_its_workspace_stays(driven: Driven) -> None:
    driven.value("report")
    assert (driven.state / "workspace").stat().st_mode & 0o777 == 0o711
    assert driven.state.stat().st_mode & 0o777 == 0o700
