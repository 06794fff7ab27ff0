"""An agent is told its own rights and requests, and nothing of anybody else or of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ironclaw.core.ids import TaskId
from ironclaw.domain.change import Status
from ironclaw.domain.model import SharedMount, Task
from ironclaw.domain.spending import Amounts, Row
from ironclaw.domain.tools import HOST_TOOLS
from ironclaw.services.host_tools.standing import Rights
from ironclaw.store.spent_rows import SpentRows
from ironclaw.store.task_rows import put_task

if TYPE_CHECKING:
    from tests.unit.services.host_tools.conftest import Desk


async def rights(desk: Desk, key: str = "k1") -> Rights:
    used = await desk.use("my_rights", {}, key=key)
    assert not used.is_error
    return msgspec.json.decode(used.text, type=Rights)


async def test_it_tells_what_the_agent_has(desk: Desk):
    mount = SharedMount(name="books", path="/srv/books", device=1, inode=2)
    await desk.become(mounts=(mount,), turn_s=60)
    told = await rights(desk)
    assert told.name == "helper"
    assert told.tools == tuple(sorted(HOST_TOOLS))
    assert told.destinations == ("ops",)
    assert told.mounts == ("/shared/books",)
    assert (told.limits.turn_s, told.limits.budgets) == (60, ())
    assert told.requests == ()


async def test_it_says_nothing_of_the_host_or_of_ids_of_chats(desk: Desk):
    await desk.become(mounts=(SharedMount(name="books", path="/srv/books", device=1, inode=2),))
    text = (await desk.use("my_rights", {})).text
    assert "/srv" not in text
    assert "ops-room" not in text
    assert "ses_" not in text


async def test_it_tells_its_own_tasks_and_when_they_are_due(desk: Desk):
    other = await desk.core.begin(name="other", place="elsewhere")
    for agent, name in ((desk.agent, "mine"), (other.agent, "theirs")):
        task = Task(
            id=TaskId(f"tsk_{name}"), agent=agent.id, name=name, channel="api",
            platform_id="desk", prompt="p", cron="0 7 * * *", zone="Europe/Vienna",
        )  # fmt: skip
        await desk.core.store.write(
            lambda db, task=task: put_task(db, task, next_ms=1_800_000_000_000)
        )
    (told,) = (await rights(desk)).tasks
    assert (told.name, told.when) == ("mine", "0 7 * * * Europe/Vienna")
    assert told.next == "2027-01-15T08:00:00+00:00"


async def test_it_tells_what_it_asked_for_and_what_became_of_that(desk: Desk):
    wish = {"change": {"kind": "persona", "persona": "x"}, "reason": "r"}
    await desk.use("request_change", wish)
    (told,) = (await rights(desk, "k2")).requests
    assert (told.change, told.kind, told.status) == ("chg_0", "persona", "pending")
    desk.gateway.status = Status.DENIED
    (told,) = (await rights(desk, "k2")).requests
    assert told.status == "denied"


async def test_it_tells_how_much_of_a_budget_is_used(desk: Desk):
    await desk.become(calls_per_day=5, tokens_per_session=100, money_per_day=4_000_000)
    day = desk.clock.now_ms() // 86_400_000
    book = SpentRows(desk.core.store, desk.core.custodian, desk.clock)
    used = Amounts(calls=1, input_tokens=7, micros=1_000_000)
    await book.add(Row(desk.agent.id, day, desk.talk.session, "other/big"), used)
    calls, money, tokens = (await rights(desk)).limits.budgets
    assert (calls.name, calls.used, calls.most, calls.left_percent) == ("calls_per_day", 1, 5, 80)
    assert (tokens.name, tokens.used, tokens.most) == ("tokens_per_session", 7, 100)
    # Of money no amount, which would tell what a token costs.
    assert (money.name, money.left_percent) == ("money_per_day", 75)
    assert (money.used, money.most) == (None, None)


async def test_no_arguments_at_all_are_none_too(desk: Desk):
    assert not (await desk.use("my_rights", "")).is_error
    assert (await desk.use("my_rights", '{"agent":"other"}')).is_error
