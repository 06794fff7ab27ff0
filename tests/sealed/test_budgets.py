"""A budget on a real house: warned, paused before the call, raised in one step, on it goes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]


def test_a_budget_pauses_an_agent_and_one_command_lets_it_go_on(house: House, agent: str) -> None:
    with house.api() as api:
        api.change(kind="limits", agent=agent, calls_per_day=5, money_per_day=2_500_000)
    replies = [house.ask(agent, f"number {n}") for n in range(5)]
    session = replies[0]["session"]
    with house.api() as api:
        events = api.get(f"/v1/sessions/{session}/transcript").body["events"]
        told = [one["text"] for one in events if one["sender"] == "ironclaw"]
        (warning,) = told
        assert "80 % of its model calls of today (UTC): 4 of 5." in warning

        said = api.say(agent, "one more")
        assert (said["status"], said["code"]) == ("failed", "rate_limited")
        found = re.search(r"`ironclaw approve (chg_\w+)` raises it to 10", said["reply"])
        assert found is not None, said
        again = api.say(agent, "and again")
        assert found[1] in again["reply"], "one change, however often it is asked"

        status = api.say(agent, "/status", wait=0)["reply"]
        assert "Used of its model calls of today (UTC): 5 of 5" in status
        assert "0.00 USD of 2.50 USD" in status
        assert found[1] in status

    card = house.cli("change", "show", found[1])
    assert "The house asks for it by itself" in card.out
    approved = house.cli("approve", found[1], "--yes")
    assert approved.status == 0, approved
    assert house.ask(agent, "at last")["reply"].startswith(f'{agent} heard "at last"')

    usage = house.cli("usage", "--agent", agent, "--by", "model", "--json").told
    (row,) = usage["rows"]
    assert (row["model"], row["calls"], row["micros"], row["unpriced"]) == ("scripted", 6, 0, 0)
    assert row["input_tokens"] > 0
    budgets = {one["budget"]: (one["used"], one["most"]) for one in usage["budgets"]}
    assert budgets == {"calls_per_day": (6, 10), "money_per_day": (0, 2_500_000)}
    shown = house.cli("usage", "--agent", agent)
    assert shown.status == 0
    assert agent in shown.out
