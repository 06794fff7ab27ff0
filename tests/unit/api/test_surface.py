"""What every answer has in common, and the endpoints that are not about messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ironclaw.api.app import ENDPOINTS, document
from ironclaw.api.gate import SECURITY_HEADERS
from ironclaw.api.misfits import in_words
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.tokens import Scope

SEND = "/v1/agents/demo/chats/main/messages?wait=5"


@pytest.mark.parametrize("path", ["/healthz", "/v1/agents", "/nothing", "/v1/agents/nobody"])
async def test_every_answer_has_a_request_id_and_the_security_headers(edge: Any, path: Any):
    async with edge.client() as client:
        answer = await client.get(path)

    assert answer.headers["x-request-id"].startswith("req_")
    for name, value in SECURITY_HEADERS:
        assert answer.headers[name] == value


async def test_a_problem_has_code_detail_hint_and_the_tables_status(edge: Any):
    edge.house.boom = HostError(
        Code.DISK_FULL, "The disk is full.", hint="Free space.", detail="secret path"
    )
    async with edge.client() as client:
        answer = await client.get("/v1/agents")

    assert answer.status_code == CODES[Code.DISK_FULL].http_status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "disk_full"
    assert body["hint"] == "Free space."
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "secret path" not in answer.text


async def test_a_fault_of_ours_shows_nothing_of_the_inside(edge: Any):
    edge.house.boom = RuntimeError("password=hunter2 at line 7")
    async with edge.client() as client:
        answer = await client.get("/v1/agents")

    assert answer.status_code == 500
    assert answer.json()["code"] == "bug"
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


async def test_a_wrong_method_and_a_wrong_path_are_problems_too(edge: Any):
    async with edge.client() as client:
        method = await client.put("/v1/agents")
        path = await client.get("/v2/agents")

    assert (method.status_code, method.json()["code"]) == (400, "invalid")
    assert (path.status_code, path.json()["code"]) == (404, "not_found")


async def test_probes_are_open_and_readiness_follows_the_house(edge: Any):
    async with edge.client(None) as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        assert (await client.get("/readyz")).status_code == 200
        edge.house.ready = False
        assert (await client.get("/readyz")).status_code == 503


async def test_the_openapi_document_describes_every_endpoint(edge: Any):
    async with edge.client(None) as client:
        described = (await client.get("/openapi.json")).json()

    assert described == json.loads(document())
    rows = {(path, verb.upper()) for path, item in described["paths"].items() for verb in item}
    assert rows == {(row.path, row.method) for row in ENDPOINTS}
    assert described["components"]["schemas"]["SendMessage"]["additionalProperties"] is False


async def test_metrics_count_requests_messages_and_errors_by_code(edge: Any):
    async with edge.client() as client:
        await client.post(SEND, json={"text": "hello"})
        await client.get("/v1/agents/nobody")
        text = (await client.get("/metrics")).text

    assert 'ironclaw_messages_total{reason="engaged"} 1.0' in text
    assert 'ironclaw_errors_total{code="not_found"} 1.0' in text
    assert "ironclaw_boxes 1.0" in text
    assert "ironclaw_round_trip_seconds_bucket" in text


async def test_agents_and_wirings_are_shown(edge: Any):
    async with edge.client(Scope.READ) as client:
        listed = await client.get("/v1/agents")
        shown = await client.get("/v1/agents/demo")
        wirings = await client.get("/v1/wirings")

    assert [agent["name"] for agent in listed.json()["agents"]] == ["demo"]
    assert shown.json()["house_limits"]["disk_bytes"] > 0
    assert wirings.json() == {"wirings": []}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/agents"),
        ("POST", "/v1/agents/demo/archive"),
        ("POST", "/v1/wirings"),
        ("DELETE", "/v1/wirings/wir_x"),
        ("POST", "/v1/standings"),
        ("DELETE", "/v1/standings"),
    ],
)
async def test_no_path_leads_around_the_gateway(edge: Any, method: Any, path: Any):
    async with edge.client() as client:
        answer = await client.request(method, path, json={})

    assert answer.status_code in {400, 404}
    assert await edge.house.agents()


async def test_what_was_said_can_be_searched(edge: Any):
    async with edge.client() as client:
        session = (await client.post(SEND, json={"text": "hello"})).json()["session"]
        found = (await client.get(f"/v1/sessions/{session}/search?q=hello&limit=1")).json()
        past = (await client.get(f"/v1/sessions/{session}/search?q=hello&before_ms=1")).json()
        refused = await client.get(f"/v1/sessions/{session}/search?q=hello&limit=51")

    assert [one["excerpt"] for one in found["found"]] == ["hello"]
    assert found["found"][0]["session"] == session
    assert past == {"found": [], "whole": True, "back_to_ms": 0}
    assert refused.status_code == 400


async def test_sessions_show_box_receipt_and_transcript(edge: Any):
    async with edge.client() as client:
        session = (await client.post(SEND, json={"text": "hello"})).json()["session"]
        views = (await client.get("/v1/sessions?agent=demo")).json()["sessions"]
        receipt = (await client.get(f"/v1/sessions/{session}/receipt")).json()
        said = (await client.get(f"/v1/sessions/{session}/transcript")).json()["events"]
        stopped = await client.post(f"/v1/sessions/{session}/stop")
        unknown = await client.get("/v1/sessions/ses_x/receipt")

    assert [view["session"]["id"] for view in views] == [session]
    assert (receipt["runtime"], receipt["uid"]) == ("runsc", 65532)
    assert [event["text"] for event in said] == ["hello", "echo: hello"]
    assert stopped.status_code == 204
    assert edge.house.stopped == [session]
    assert unknown.status_code == 404


async def test_the_audit_shows_its_newest_records(edge: Any):
    refused = AuditEntry(
        event=AuditEvent.LAUNCH_REFUSED, agent="agt_a", slot="slt_a", code="x", words=("a.b",)
    )
    for _ in range(3):
        await edge.house.trail.append(refused, by=CORE)
    async with edge.client(Scope.READ) as client:
        newest = await client.get("/v1/audit?limit=2")
        beyond = await client.get("/v1/audit?limit=1001")

    # The fourth is the reader's own arrival.
    assert [record["number"] for record in newest.json()["records"]] == [3, 4]
    assert newest.json()["records"][0]["event"] == "launch.refused"
    assert newest.json()["records"][1]["event"] == "token.used"
    assert beyond.status_code == 400


async def test_a_minted_token_works_is_listed_without_its_secret_and_ends(edge: Any):
    async with edge.client() as client:
        made = (await client.post("/v1/tokens", json={"name": "bot", "scopes": ["read"]})).json()
        bearer = {"authorization": f"Bearer {made['secret']}"}
        works = await client.get("/v1/me", headers=bearer)
        listed = await client.get("/v1/tokens")
        await client.delete("/v1/tokens/bot")
        ended = await client.get("/v1/me", headers=bearer)

    assert [works.status_code, ended.status_code] == [200, 401]
    assert made["secret"] not in listed.text
    assert made["secret"].startswith("icl_")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("Expected `str` of length >= 1 - at `$.text`", "`text` is empty"),
        ("Expected `array` of length >= 1 - at `$.scopes`", "`scopes` is empty"),
        (
            "Expected `str` of length <= 256 - at `$.model`",
            "`model` must have at most 256 characters",
        ),
        (
            "Expected `array` of length <= 128 - at `$.tools`",
            "`tools` must have at most 128 entries",
        ),
        ("Expected `str`, got `int` - at `$.text`", "`text` must be text, not a whole number"),
    ],
)
def test_what_is_too_long_or_too_short_is_said_in_plain_words(found: str, told: str) -> None:
    assert in_words(found) == told
