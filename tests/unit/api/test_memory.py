"""Memories over the API: who edits what, what is told, and that the audit has the act only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.tokens import Scope
from ironclaw_contract.memory_dir import MAX_TOPIC_BYTES

if TYPE_CHECKING:
    from tests.unit.api.conftest import Edge

BASE = "/v1/agents/demo/memory"


async def test_a_memory_is_listed_shown_edited_and_forgotten(edge: Edge) -> None:
    async with edge.client() as client:
        listed = (await client.get(BASE)).json()
        assert [topic["topic"] for topic in listed["topics"]] == ["birds"]
        assert listed["whole"] is True
        shown = (await client.get(f"{BASE}/birds")).json()
        assert shown["text"] == "Ada is a heron."
        body = {"text": "Ada is a crane.", "was": shown["digest"]}
        assert (await client.put(f"{BASE}/birds", json=body)).status_code == 204
        assert (await client.get(f"{BASE}/birds")).json()["text"] == "Ada is a crane."
        late = await client.put(f"{BASE}/birds", json=body)
        assert (late.status_code, late.json()["code"]) == (409, "conflict")
        late = await client.delete(f"{BASE}/birds", params={"was": shown["digest"]})
        assert late.status_code == 409
        assert (await client.delete(f"{BASE}/birds")).status_code == 204
        assert (await client.get(f"{BASE}/birds")).status_code == 404


async def test_what_came_from_a_session_is_purged_with_its_count(edge: Edge) -> None:
    edge.house.shelf.topics["ann"] = b"session=ses_a"
    edge.house.shelf.is_whole = False
    async with edge.client() as client:
        done = await client.post(f"{BASE}/purge", json={"session": "ses_a"})
    assert done.json() == {"notes": 1, "whole": False}
    assert list(edge.house.shelf.topics) == ["birds"]


async def test_the_audit_has_the_act_and_nothing_of_the_content(edge: Edge) -> None:
    async with edge.client() as client:
        await client.put(f"{BASE}/secret-topic", json={"text": "secret words"})
        await client.delete(f"{BASE}/secret-topic")
        await client.post(f"{BASE}/purge", json={"session": "ses_a"})
    agent = await edge.house.agent("demo")
    records = [one for one in edge.house.trail.records if one.event.startswith("memory.")]
    assert [(one.event, one.agent, one.reason, one.count) for one in records] == [
        (AuditEvent.MEMORY_EDITED, agent.id, "written", None),
        (AuditEvent.MEMORY_EDITED, agent.id, "forgotten", None),
        (AuditEvent.MEMORY_PURGED, agent.id, None, 0),
    ]
    assert {one.actor for one in records} == {"api:t-admin"}
    assert b"secret" not in msgspec.json.encode(records)


async def test_what_no_topic_can_be_is_refused_before_anything_is_done(edge: Edge) -> None:
    async with edge.client() as client:
        long = "é" * (MAX_TOPIC_BYTES // 2 + 1)
        assert (await client.put(f"{BASE}/birds", json={"text": long})).status_code == 400
        assert (await client.put(f"{BASE}/birds", json={"text": ""})).status_code == 400
        assert (await client.put(f"{BASE}/Birds", json={"text": "x"})).status_code == 400
        assert (await client.get(f"{BASE}/none")).status_code == 404
        assert (await client.get("/v1/agents/nobody/memory")).status_code == 404
    assert edge.house.shelf.topics == {"birds": b"Ada is a heron."}


async def test_bytes_that_are_no_text_are_shown_and_not_raised(edge: Edge) -> None:
    edge.house.shelf.topics["odd"] = b"a\xff\x00b"
    async with edge.client(Scope.READ) as client:
        assert (await client.get(f"{BASE}/odd")).json()["text"] == "a\ufffd\x00b"


async def test_a_purge_of_what_is_no_session_is_refused_before_anything_is_done(edge: Edge) -> None:
    edge.house.shelf.topics["ann"] = b"Ann \xc3\xa9"
    async with edge.client() as client:
        for session in ("", "é", "Ann", "ses_", "ses_a\n", "ses_A"):
            refused = await client.post(f"{BASE}/purge", json={"session": session})
            assert refused.status_code == 400, session
    assert "ann" in edge.house.shelf.topics
    assert [one for one in edge.house.trail.records if one.event.startswith("memory.")] == []
