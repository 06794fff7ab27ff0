"""Requests that have nothing left to do, and those that might."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.domain.changes.samples import SAMPLES, Sample
from tests.unit.domain.changes.world import ANN, BOB, CAL, NOW_MS, SESSION, World
from tests.unit.domain.stepping import AGENT, Gateway, by_token

from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import ChangeId, GrantId, WiringId
from ironclaw.domain.applying import retried
from ironclaw.domain.audit import CORE
from ironclaw.domain.change import Grant, Seen, Status
from ironclaw.domain.changes.base import PutTask
from ironclaw.domain.changes.destinations import RemoveDestination
from ironclaw.domain.changes.sessions import ForgetSession
from ironclaw.domain.changes.task_edits import PauseTask, ResumeTask, UpdateTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.changes.wiring import RemoveWiring
from ironclaw.domain.gateway import Write
from ironclaw.domain.model import Misfire
from ironclaw.domain.overtaking import overtaken, overtaken_by

REMOVE = RemoveDestination(agent=BOB, name="team")
of_each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)


@of_each_sample
def test_what_can_be_applied_is_not_overtaken(sample: Sample) -> None:
    assert overtaken_by(sample.spec, sample.world().of(sample.spec)) is None


@of_each_sample
def test_what_somebody_else_has_brought_about_is(sample: Sample) -> None:
    world = sample.world()
    world.apply(sample.spec)

    found = overtaken_by(sample.spec, world.of(sample.spec))

    assert found is not None
    assert found.why == "come_true"
    assert found.words.startswith("It has come true already. ")


def test_what_is_true_in_part_is_not() -> None:
    world = World()
    world.apply(SetTools(agent=BOB, add=("write_file",)))
    spec = SetTools(agent=BOB, add=("write_file", "write_mail"))

    assert overtaken_by(spec, world.of(spec)) is None


def test_what_an_agent_that_comes_back_could_still_be_given_is_not() -> None:
    world = World()
    world.agents[BOB] = msgspec.structs.replace(world.agents[BOB], archived=True)
    spec = SetTools(agent=BOB, add=("write_file",))

    assert overtaken_by(spec, world.of(spec)) is None


@pytest.mark.parametrize(
    "spec",
    [
        UpdateTask(agent=BOB, name="nothing", prompt="Sing."),
        PauseTask(agent=BOB, name="nothing"),
        ResumeTask(agent=BOB, name="nothing"),
    ],
)
def test_what_is_about_a_task_that_is_no_more_is_gone(spec: UpdateTask) -> None:
    found = overtaken_by(spec, World().of(spec))

    assert found is not None
    assert found.why == "gone"
    assert found.words == "What it was about is gone. The agent has no task nothing."


@pytest.mark.parametrize(
    ("kept", "part"),
    [
        ({"misfire": Misfire.SKIP}, {"late_s": 777}),
        ({"cron": None, "every_s": 3600}, {"zone": "Europe/Berlin"}),
    ],
)
def test_what_a_card_hides_as_it_has_no_effect_yet_has_not_come_true(
    kept: dict[str, Any], part: dict[str, Any]
) -> None:
    world = World()
    task = msgspec.structs.replace(next(iter(world.tasks.values())), **kept)
    world.do((PutTask(task),))
    place = {"channel": task.channel, "platform_id": task.platform_id}
    spec = UpdateTask(agent=BOB, name=task.name, **place, **part)
    world.wirings.clear()

    with pytest.raises(UserError, match="does not reach"):
        spec.check(world.of(spec))
    assert overtaken_by(spec, world.of(spec)) is None


def test_who_wanted_the_notes_gone_too_is_told_that_they_may_be_there() -> None:
    world = World()
    world.apply(ForgetSession(agent=BOB, session=SESSION, keep_notes=True))
    spec = ForgetSession(agent=BOB, session=SESSION)

    with pytest.raises(UserError) as caught:
        spec.check(world.of(spec))
    assert caught.value.hint is not None
    assert "ironclaw memory purge" in caught.value.hint
    found = overtaken_by(spec, world.of(spec))
    assert found is not None
    assert "may be there still" in found.words


def test_a_wiring_that_is_parted_already_has_come_true() -> None:
    spec = RemoveWiring(agent=BOB, wiring=WiringId("wir_room"))
    world = World()
    world.wirings.clear()

    found = overtaken_by(spec, world.of(spec))

    assert found is not None
    assert found.why == "come_true"


@pytest.fixture
def gateway() -> Gateway:
    """An agent has asked, and a person does it by hand."""
    gateway = Gateway()
    gateway.ask(REMOVE, AGENT)
    return gateway


def _by_hand(gateway: Gateway) -> None:
    gateway.world.apply(REMOVE)


def test_a_request_that_has_come_true_ends_and_says_so(gateway: Gateway) -> None:
    assert overtaken(gateway.told()) == Write()
    _by_hand(gateway)

    write = gateway.keep(overtaken(gateway.told()))

    assert (write.status, write.event, write.by) == (Status.OVERTAKEN, "overtaken", CORE)
    assert write.ops == ()
    assert [(one.event, one.reason) for one in write.audit] == [("change.overtaken", "come_true")]
    assert "come true" in gateway.kept.problem
    assert overtaken(gateway.told()) == Write()


@pytest.mark.parametrize("approve", [True, False])
def test_whoever_decides_on_it_ends_it_whatever_they_saw(gateway: Gateway, approve: bool) -> None:
    seen: Seen = gateway.seen
    _by_hand(gateway)

    write = gateway.decide(ANN, approve=approve, seen=seen)

    assert write.status is Status.OVERTAKEN
    assert (write.decision, write.is_denied, write.ops) == (None, False, ())


def test_who_may_not_decide_is_told_that_and_nothing_else(gateway: Gateway) -> None:
    _by_hand(gateway)

    with pytest.raises(PolicyError, match="no right to decide"):
        gateway.decide(CAL)


def test_what_comes_true_between_approval_and_effect_has_failed_at_nothing(
    gateway: Gateway,
) -> None:
    gateway.decide(ANN)
    _by_hand(gateway)

    write = gateway.apply()

    assert (write.status, write.ops, write.grant) == (Status.OVERTAKEN, (), None)
    with pytest.raises(UserError, match="overtaken, not approved"):
        gateway.apply()


def test_a_failed_change_that_has_come_true_since_ends_when_it_is_tried_again(
    gateway: Gateway,
) -> None:
    gateway.row = msgspec.structs.replace(gateway.kept, status=Status.FAILED, code="conflict")
    _by_hand(gateway)

    write = retried(gateway.told(by_token(ANN)), actor=by_token(ANN))

    assert write.status is Status.OVERTAKEN


@pytest.mark.parametrize(
    "status", [Status.APPLIED, Status.DONE, Status.DENIED, Status.EXPIRED, Status.WITHDRAWN]
)
def test_what_is_applied_or_over_stays_what_it_is(gateway: Gateway, status: Status) -> None:
    gateway.row = msgspec.structs.replace(gateway.kept, status=status)
    _by_hand(gateway)

    assert overtaken(gateway.told()) == Write()


# --- what is so for a time ------------------------------------------------------------------------

REST = PauseTask(agent=BOB, name="daily")
HOUR_MS = 3_600_000


@pytest.fixture
def rest() -> Gateway:
    """Somebody wants a task to rest for good; it rests for an hour meanwhile."""
    gateway = Gateway()
    gateway.ask(REST)
    gateway.world.apply(REST)
    gateway.lent = Grant(
        id=GrantId("grn_hour"),
        change=ChangeId("chg_hour"),
        topic=REST.topic,
        kind="task.pause",
        agent=BOB,
        given_ms=NOW_MS,
        expires_ms=NOW_MS + HOUR_MS,
    )
    return gateway


def test_a_rest_of_an_hour_ends_no_request_for_one_without_an_end(rest: Gateway) -> None:
    assert overtaken(rest.told()) == Write()

    with pytest.raises(UserError, match=r"for a time: until .*, by the grant grn_hour") as caught:
        rest.decide(ANN)
    assert "`ironclaw grant revoke grn_hour`" in str(caught.value.hint)
    assert rest.decide(ANN, approve=False).status is Status.DENIED


@pytest.mark.parametrize(
    ("grant_s", "status"), [(3599, Status.OVERTAKEN), (3600, Status.OVERTAKEN), (3601, None)]
)
def test_it_ends_one_for_a_rest_that_is_no_longer(
    rest: Gateway, grant_s: int, status: Status | None
) -> None:
    change = msgspec.structs.replace(rest.kept.change, grant_s=grant_s)
    rest.row = msgspec.structs.replace(rest.kept, change=change)

    assert overtaken(rest.told()).status is status


def test_what_is_gone_has_ended_whatever_was_lent(rest: Gateway) -> None:
    rest.world.tasks.clear()

    assert overtaken(rest.told()).status is Status.OVERTAKEN
