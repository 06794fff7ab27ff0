"""The audit over HTTP: who came in, who did not, who did what, and how it is asked."""

from __future__ import annotations

from typing import Any

from ironclaw.api.arrivals import by_of, source_of
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import PrincipalId, TokenId
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent, Via
from ironclaw.domain.tokens import Scope, Token
from ironclaw.testing.audits import entry

DIGEST = "sha256:" + "0" * 64
TOKEN = Token(
    id=TokenId("tok_a"),
    name="ann",
    principal=PrincipalId("api:ann"),
    scopes=frozenset(),
    created_ms=0,
    hash="",
)


async def test_a_tokens_first_use_is_recorded_once(edge: Any):
    async with edge.client(Scope.READ) as client:
        for _ in range(3):
            assert (await client.get("/v1/agents")).status_code == 200

    (record,) = edge.house.trail.records
    assert record.event is AuditEvent.TOKEN_USED
    assert (record.actor, record.via, record.source) == ("api:t-read", Via.API, "127.0.0.1")


async def test_an_audit_that_is_full_keeps_nobody_out_and_is_tried_again(edge: Any):
    edge.house.trail.boom = HostError(Code.DISK_FULL, "Full.", hint="Free some.")
    async with edge.client(Scope.READ) as client:
        assert (await client.get("/v1/agents")).status_code == 200
        edge.house.trail.boom = None
        assert (await client.get("/v1/agents")).status_code == 200

    assert [one.event for one in edge.house.trail.records] == ["token.used"]


async def test_failed_authentication_is_noted_without_what_was_sent(edge: Any):
    async with edge.client(None) as client:
        await client.get("/v1/agents", headers={"authorization": "Bearer icl_guess"})
        await client.get("/healthz")

    (noted,) = edge.house.trail.noted
    assert (noted.event, noted.source) == (AuditEvent.AUTH_FAILED, "127.0.0.1")
    assert "guess" not in repr(noted)


def test_only_the_unix_socket_may_say_that_it_is_the_command_line() -> None:
    cli = {"client": None, "headers": [(b"user-agent", b"ironclaw-cli")]}
    remote = cli | {"client": ("192.0.2.1", 5)}

    assert by_of(TOKEN, cli, source_of(cli)) == ("api:ann", Via.CLI)
    assert by_of(TOKEN, remote, source_of(remote)) == ("api:ann", Via.API)
    assert by_of(TOKEN, {"headers": []}, "unix") == ("api:ann", Via.API)


async def test_a_record_a_page_and_a_story_are_shown(edge: Any):
    for number in range(1, 6):
        await edge.house.trail.append(entry(number), by=CORE)
    async with edge.client(Scope.READ) as client:
        page = (await client.get("/v1/audit?limit=2&before=4")).json()
        one = (await client.get("/v1/audit/2")).json()
        story = (await client.get("/v1/why?id=slt_3")).json()
        wrong = [
            (await client.get(f"/v1/audit/{number}")).status_code
            for number in ("0", "99", "x", "-1", "1" * 30)
        ]

        nobody = [
            (await client.get(f"/v1/why{query}")).status_code
            for query in ("", "?id=", "?id=%00", f"?id={'x' * 2000}")
        ]

    assert nobody == [400] * 4
    assert [record["number"] for record in page["records"]] == [2, 3]
    assert (one["number"], one["slot"]) == (2, "slt_2")
    assert "message" not in one
    assert [record["slot"] for record in story["records"]] == ["slt_3"]
    assert story["words"] == ["The core refused the launch of slt_3 for the agent agt_3: x."]
    assert wrong == [404, 404, 400, 400, 400]


async def test_the_head_is_signed_and_what_was_exported_is_removed(edge: Any):
    await edge.house.trail.append(entry(1), by=CORE)
    async with edge.client() as client:
        signed = (await client.post("/v1/audit/checkpoint")).json()
        again = (await client.post("/v1/audit/checkpoint")).json()
        done = await client.post("/v1/audit/rotate", json={"through": 1, "digest": DIGEST})
        wrong = await client.post("/v1/audit/rotate", json={"through": 1, "digest": "x"})

    assert signed["checkpoint"]["number"] == 2
    assert again["checkpoint"] is None
    assert done.status_code == 200
    assert edge.house.trail.rotated == (1, DIGEST)
    assert wrong.status_code == 400
    assert "64 hexadecimal digits" in wrong.json()["detail"]


async def test_what_a_request_does_is_done_by_its_token(edge: Any):
    seen = []
    real = edge.house.gateway.submit

    async def spying(*words: Any, **fields: Any) -> Any:
        seen.append((acting(), fields["actor"].principal, fields["asker"].principal))
        return await real(*words, **fields)

    edge.house.gateway.submit = spying
    spec = {"kind": "persona", "agent": "demo", "persona": "Be brief."}
    async with edge.client(Scope.OPERATE) as client:
        await client.post("/v1/changes", json={"change": spec})

    assert seen == [(("api:t-operate", Via.API), "api:t-operate", "api:t-operate")]


def test_an_entry_names_no_secret_field() -> None:
    assert not {"secret", "text", "content"} & set(AuditEntry.__struct_fields__)
