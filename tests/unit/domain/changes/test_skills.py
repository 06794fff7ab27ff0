"""Skills of agents: what is asked for is what was imported, and whoever decides sees all of it."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.domain.changes.world import (
    BIRDS,
    BOB,
    NOW_MS,
    SKILL_TEXT,
    STRANGE,
    World,
    skilled,
)

from ironclaw.core.errors import IronClawError, PolicyError
from ironclaw.core.ids import ChangeId, PrincipalId
from ironclaw.domain.cards import Told, render
from ironclaw.domain.change import Asker, Change
from ironclaw.domain.changes.mounts import AddMount
from ironclaw.domain.changes.skills import AddSkill, RemoveSkill
from ironclaw.domain.model import SharedMount, Skill
from ironclaw.domain.skills import KeptSkill, read

ADD = AddSkill(agent=BOB, name="birds", digest=BIRDS.digest)


def refused(spec: AddSkill | AddMount, world: World | None = None) -> str:
    world = world or World()
    with pytest.raises(IronClawError) as caught:
        spec.check(world.of(spec))
    return caught.value.code.value


def card_of(kept: KeptSkill) -> list[str]:
    spec = AddSkill(agent=BOB, name=kept.name, digest=kept.digest)
    world = World()
    world.house = world.house._replace(skills=(kept,))
    live = world.of(spec)
    change = Change(
        id=ChangeId("chg_x"),
        spec=spec,
        asker=Asker(principal=PrincipalId("api:ann")),
        created_ms=NOW_MS,
        expires_ms=NOW_MS + 1,
    )
    told = Told(
        before=spec.before(live),
        after=spec.after(live),
        bearing=spec.bearing(live),
        revocable=True,
    )
    card = render(change, told)
    return [f"{line.sign}{line.label}: {line.text}" for line in (*card.fields, *card.diff)]


def test_what_was_not_imported_under_both_name_and_digest_is_not_given() -> None:
    assert refused(msgspec.structs.replace(ADD, name="fish")) == "not_found"
    assert refused(msgspec.structs.replace(ADD, digest="sha256:" + "0" * 64)) == "not_found"


def test_a_skill_that_was_dropped_since_is_to_be_imported_again() -> None:
    world = World()
    world.house = world.house._replace(skills=())
    with pytest.raises(IronClawError, match=r"birds.*Import it again") as caught:
        ADD.check(world.of(ADD))
    assert "ironclaw skill import" in caught.value.hint


def test_a_skill_of_somebody_unknown_is_not_given() -> None:
    spec = AddSkill(agent=BOB, name="fish", digest=STRANGE.digest)
    with pytest.raises(PolicyError, match="not signed by a key") as caught:
        spec.check(World().of(spec))
    assert "when it starts" in caught.value.hint


def test_skills_have_a_place_of_their_own() -> None:
    world = World()
    world.change(mounts=(SharedMount(name="skills", path="/srv/given/x", device=8, inode=3),))
    assert refused(ADD, world) == "conflict"
    assert refused(AddMount(agent=BOB, name="skills", path="/srv/given/papers")) == "invalid"


def test_an_agent_has_so_many() -> None:
    world = World()
    many = tuple(Skill(name=f"s{n}", digest=BIRDS.digest, description="") for n in range(63))
    world.change(skills=many)
    ADD.check(world.of(ADD))
    world.change(skills=(*many, msgspec.structs.replace(many[0], name="other")))
    assert refused(ADD, world) == "conflict"


def test_one_of_the_same_name_is_taken_away_first() -> None:
    world = skilled()
    assert refused(ADD, world) == "conflict"
    world.apply(RemoveSkill(agent=BOB, name="birds"))
    world.apply(ADD)
    (skill,) = world.agents[BOB].skills
    assert (skill.name, skill.digest) == ("birds", BIRDS.digest)
    assert skill.description == "Tell birds apart by their song."


def test_the_card_shows_all_of_it() -> None:
    lines = card_of(BIRDS)
    asked = "would use what the agent has not, and gets nothing of by this"
    assert f'digest of all its files: "{BIRDS.digest}"' in lines
    assert f'+signed by: "{BIRDS.signer}"' in lines
    assert '+would use tools that the agent has, item 1: "read_file"' in " ".join(lines) or (
        '+would use tools that the agent has, item 1: "read_file" (' in " ".join(lines)
    )
    assert any(line.startswith(f'+{asked}, item 1: "Bash(ls:*)"') for line in lines)
    assert f'+files, item 1: "SKILL.md, {len(SKILL_TEXT)} bytes"' in lines
    assert '+files, item 2: "songs/robin.txt, 3 bytes"' in lines
    text = [line.partition(": ")[2] for line in lines if line.startswith("+instructions, line")]
    assert "\n".join(text) == SKILL_TEXT


def test_nothing_of_a_skill_passes_for_another_part_of_the_card() -> None:
    text = SKILL_TEXT + "\u202eevil\u200b\n+signed by: everybody\n"
    kept = KeptSkill(folder=read({"SKILL.md": text.encode()}), is_trusted=True, kept_ms=1)
    lines = card_of(kept)
    assert '+signed by: "nobody"' in lines
    assert not any("\u202e" in line or "\u200b" in line for line in lines)
    assert any("\\u202eevil\\u200b" in line for line in lines)


def test_the_largest_skill_that_can_be_imported_has_a_card() -> None:
    tree = {f"f{n}/{'x' * 60}.md": b"" for n in range(500)}
    tree["SKILL.md"] = (SKILL_TEXT + "word\n" * 350).encode()
    kept = KeptSkill(folder=read(tree), is_trusted=True, kept_ms=1)
    assert len(card_of(kept)) > 850
