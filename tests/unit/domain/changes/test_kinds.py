"""What holds for every kind in the table, on samples of each in a world in memory."""

import msgspec
import pytest
from tests.unit.domain.changes.samples import SAMPLES, Sample
from tests.unit.domain.changes.world import CHANGE, HOUSE

from ironclaw.core.errors import IronClawError, UserError
from ironclaw.core.ids import ChangeId
from ironclaw.domain.changes.base import Bearing, Live, Spec
from ironclaw.domain.changes.policies import HARMLESS
from ironclaw.domain.changes.table import SPECS, AnySpec
from ironclaw.domain.changes.wiring import RemoveWiring
from ironclaw.domain.model import Role
from ironclaw.domain.policy import DEFAULT

METHODS = (
    "agent_id", "needs", "check", "before", "after", "bearing", "atoms", "ops", "inverse",
)  # fmt: skip
NOTHING = Live(house=HOUSE, policy=DEFAULT)

of_each_kind = pytest.mark.parametrize("kind", SPECS.values(), ids=list(SPECS))
of_each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)


def all_kinds(of: type[Spec] = Spec) -> set[type[Spec]]:
    return {one for kind in of.__subclasses__() for one in ({kind} | all_kinds(kind))}


def test_every_kind_is_in_the_table_and_has_a_sample() -> None:
    assert set(SPECS.values()) == all_kinds()
    assert {str(one.spec.__struct_config__.tag) for one in SAMPLES} == set(SPECS)


@of_each_kind
def test_a_kind_says_everything_itself(kind: type[Spec]) -> None:
    missing = [name for name in METHODS if name not in vars(kind)]

    assert missing == []
    assert isinstance(kind.title, str)
    assert kind.title
    assert kind.deciders
    assert kind.deciders <= Spec.deciders
    assert Role.OWNER in kind.deciders


@of_each_kind
def test_a_kind_labels_exactly_its_fields(kind: type[Spec]) -> None:
    assert set(kind.labels) == set(kind.__struct_fields__)
    assert len(set(kind.labels.values())) == len(kind.labels)


def test_a_rule_can_allow_the_kinds_that_need_no_person() -> None:
    assert {kind.topic for kind in SPECS.values() if not kind.always_human} == HARMLESS


@of_each_sample
def test_a_sample_makes_sense(sample: Sample) -> None:
    live = sample.world().of(sample.spec)

    sample.spec.check(live)

    assert sample.spec.bearing(live) is sample.bearing
    assert sample.spec.atoms()
    assert all(isinstance(atom, str) for atom in sample.spec.atoms())


@of_each_sample
def test_the_diff_compares_the_same_names(sample: Sample) -> None:
    live = sample.world().of(sample.spec)
    before, after = sample.spec.before(live), sample.spec.after(live)

    assert list(before) == list(after)
    assert before != after


@of_each_sample
def test_nothing_is_needed_to_look(sample: Sample) -> None:
    assert list(sample.spec.before(NOTHING)) == list(sample.spec.after(NOTHING))
    assert sample.spec.bearing(NOTHING) in Bearing
    assert sample.spec.way_back(NOTHING, sample.spec) in {None, sample.spec}


@of_each_sample
def test_what_is_written_is_what_was_shown(sample: Sample) -> None:
    world = sample.world()
    promised = sample.spec.after(world.of(sample.spec))

    world.apply(sample.spec)

    assert sample.spec.before(world.of(sample.spec)) == promised


@of_each_sample
def test_writing_twice_is_writing_once(sample: Sample) -> None:
    world = sample.world()
    ops = sample.spec.ops(world.of(sample.spec), CHANGE)
    assert ops

    world.do(ops)
    once = msgspec.json.encode(sample.spec.before(world.of(sample.spec)))
    world.do(ops)

    assert msgspec.json.encode(sample.spec.before(world.of(sample.spec))) == once


@of_each_sample
def test_what_is_so_already_is_refused(sample: Sample) -> None:
    world = sample.world()
    world.apply(sample.spec)

    with pytest.raises(UserError) as caught:
        sample.spec.check(world.of(sample.spec))

    assert caught.value.code in {"conflict", "not_found"}
    assert caught.value.hint


@pytest.mark.parametrize(
    "sample",
    [one for one in SAMPLES if one.spec.needs().agent or one.spec.needs().place],
    ids=lambda one: one.name,
)
def test_what_is_about_nothing_is_refused(sample: Sample) -> None:
    with pytest.raises(IronClawError) as caught:
        sample.spec.check(NOTHING)

    assert caught.value.code in {"not_found", "conflict"}


@of_each_sample
def test_the_way_back_leads_back(sample: Sample) -> None:
    world = sample.world()
    live = world.of(sample.spec)
    before = sample.spec.before(live)
    inverse = sample.spec.inverse(live, CHANGE)
    world.apply(sample.spec)
    assert sample.spec.has_way_back is (inverse is not None)
    if inverse is None:
        return

    inverse.check(world.of(inverse))
    world.do(inverse.ops(world.of(inverse), ChangeId("chg_two")))

    if isinstance(sample.spec, RemoveWiring):
        # What comes back is another wiring, of the same chat and with the same settings.
        (again,) = world.wirings.values()
        sample = sample._replace(spec=RemoveWiring(agent=again.agent, wiring=again.id))
    assert sample.spec.before(world.of(sample.spec)) == before


@of_each_sample
def test_what_was_given_can_be_taken_without_giving(sample: Sample) -> None:
    """Kinds whose way back is a change of its own right are named here, and no other."""
    world = sample.world()
    inverse = sample.spec.inverse(world.of(sample.spec), CHANGE)
    world.apply(sample.spec)
    if inverse is None or sample.bearing is Bearing.NARROWS:
        return

    way = sample.spec.way_back(world.of(sample.spec), inverse)

    assert way is not None
    bearing = way.bearing(world.of(way))
    assert bearing is {
        "person.link": Bearing.WIDENS,
        "person.unlink": Bearing.ALTERS,
        "persona": Bearing.ALTERS,
        "model": Bearing.ALTERS,
        "policy": Bearing.ALTERS,
        "task.update": Bearing.ALTERS,
    }.get(
        str(sample.spec.__struct_config__.tag),
        # What the house itself allows is not known to a spec.
        Bearing.WIDENS if way == _BACK_TO_THE_HOUSE else Bearing.NARROWS,
    )


_BACK_TO_THE_HOUSE = msgspec.convert(
    {"kind": "limits", "agent": "agt_bob", "unlimited": ["disk_bytes"]}, AnySpec
)


@of_each_sample
def test_what_is_otherwise_by_now_is_not_taken_back(sample: Sample) -> None:
    world = sample.world()
    inverse = sample.spec.inverse(world.of(sample.spec), CHANGE)
    world.apply(sample.spec)
    if inverse is None or sample.bearing is Bearing.NARROWS:
        return
    world.do(inverse.ops(world.of(inverse), ChangeId("chg_two")))

    assert sample.spec.way_back(world.of(sample.spec), inverse) is None


@of_each_sample
def test_a_spec_is_read_as_it_was_written(sample: Sample) -> None:
    body = msgspec.json.encode(sample.spec, order="sorted")

    assert msgspec.json.decode(body, type=AnySpec) == sample.spec


@of_each_kind
def test_no_unknown_field_is_read(kind: type[Spec]) -> None:
    sample = next(one.spec for one in SAMPLES if type(one.spec) is kind)
    foreign = msgspec.to_builtins(sample) | {"colour": "red"}

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(foreign, AnySpec)


def test_no_unknown_kind_is_read() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"kind": "egress", "agent": "agt_bob"}', type=AnySpec)
