"""Skills and ready-made agents over HTTP: what there is, and who has it as far as one may look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from ironclaw.domain.model import Role, Skill
from ironclaw.domain.tokens import Scope
from ironclaw.testing.fakes_running import kept_skill

if TYPE_CHECKING:
    from tests.unit.api.conftest import Edge

    from ironclaw.domain.model import Agent


def give(edge: Edge, agent: Agent) -> None:
    folder = kept_skill().folder
    skill = Skill(name=folder.name, digest=folder.digest, description=folder.description)
    edge.house.setting.agents[agent.id] = structs.replace(agent, skills=(skill,))


async def test_a_list_is_short_and_one_skill_is_shown_whole(edge: Edge) -> None:
    kept = kept_skill(more="allowed-tools: clock\nmetadata:\n  author: ann\n")
    edge.house.looks.kept_skills = (kept,)
    async with edge.client() as client:
        (row,) = (await client.get("/v1/skills")).json()["skills"]
        shown = (await client.get("/v1/skills/birds")).json()
        by_digest = (await client.get(f"/v1/skills/{kept.digest}")).json()
        absent = await client.get("/v1/skills/fish")
    assert (row["name"], row["files"], row["asks"], row["agents"]) == ("birds", 2, ["clock"], [])
    assert "text" not in row
    assert shown == by_digest
    assert shown["text"] == kept.folder.text
    assert shown["metadata"] == {"author": "ann"}
    assert [one["path"] for one in shown["manifest"]] == ["SKILL.md", "songs/robin.txt"]
    assert absent.status_code == 404


async def test_nobody_sees_which_agents_of_others_have_a_skill(edge: Edge) -> None:
    mine, other = edge.house.add_agent("mine"), edge.house.add_agent("other")
    give(edge, mine)
    give(edge, other)
    minted = await edge.tokens.mint(name="ann", scopes=[Scope.READ], ttl_s=None)
    edge.house.give("api:ann", Role.VIEWER, mine)
    async with edge.client() as client:
        (seen,) = (await client.get("/v1/skills")).json()["skills"]
        assert sorted(seen["agents"]) == ["mine", "other"]
        headers = {"authorization": f"Bearer {minted.secret}"}
        (seen,) = (await client.get("/v1/skills", headers=headers)).json()["skills"]
        shown = (await client.get("/v1/skills/birds", headers=headers)).json()
    assert seen["agents"] == shown["agents"] == ["mine"]


async def test_templates_are_there_for_clients(edge: Edge) -> None:
    async with edge.client() as client:
        rows = (await client.get("/v1/templates")).json()["templates"]
        shown = (await client.get("/v1/templates/tutor")).json()
        absent = await client.get("/v1/templates/nobody")
    assert [one["name"] for one in rows] == ["editor", "household", "research", "tutor", "watch"]
    assert shown["persona"].startswith("# Identity")
    assert shown["template"]["tasks"][0]["name"] == "repeat"
    assert absent.status_code == 404
