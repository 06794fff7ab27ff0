"""The airlock of a real session has a cgroup beside its box's, which goes with the slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.sandbox import airlock_group, cgroups

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]


def test_an_airlock_is_limited_or_the_receipt_says_that_it_is_not(house: House, agent: str) -> None:
    sent = house.ask(agent, "hello")
    with house.api() as api:
        receipt = api.get(f"/v1/sessions/{sent['session']}/receipt").body
    groups = cgroups.detect()
    path = airlock_group.path_of(f"{cgroups.PARENT}/{receipt['slot']}")
    if not (house.is_root and groups.usable):
        assert "cgroup" in receipt["airlock_missing"]
        assert "airlocks run without cgroup" in receipt["weaker"]
        assert cgroups.members(groups, path) == frozenset()
        return

    assert "cgroup" in receipt["airlock_held"]
    assert len(cgroups.members(groups, path)) == 1
    assert cgroups.read_limits(groups, path)["pids"] == str(airlock_group.PIDS)
    assert house.cli("session", "stop", sent["session"]).status == 0
    assert cgroups.directories(groups, path) == []
    # The session goes on behind another airlock.
    house.ask(agent, "again")
