"""Whatever is sent to the front door: an answer, or a refusal in the shape its clients know."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironclaw.api.openai_bodies import IGNORED, ChatRequest, ResponsesRequest
from ironclaw.domain.tokens import Scope

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
CONTENT = st.text(max_size=9) | st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "input_text", "image_url", "input_audio"]) | JSON},
        optional={"text": st.text(max_size=9) | JSON},
    ),
    max_size=3,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]) | JSON},
    optional={
        "content": CONTENT | JSON,
        "type": st.sampled_from(["message", "reasoning"]) | JSON,
        "tool_calls": JSON,
    },
)
FIELDS = sorted(
    (set(ChatRequest.__struct_fields__) | set(ResponsesRequest.__struct_fields__) | IGNORED)
    - {"stream"}
)
BODY = st.builds(
    lambda body, extra: body | extra,
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["demo", "demo", "absent"]),
            "messages": st.lists(MESSAGE, max_size=4),
            "input": CONTENT | st.lists(MESSAGE, max_size=4),
        },
        optional={"stream": st.booleans()},
    ),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=BODY | JSON)
async def test_any_json_is_answered_or_refused_in_words(edge: Any, path: str, body: Any):
    edge.house.heard.clear()
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(path, content=encoded(body))

    # 503: the fake agent's words for a message that begins with `fail`.
    assert answer.status_code in {200, 400, 404}, answer.text
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error["code"] in {"invalid", "not_found"}
        assert error["message"].endswith(error["hint"])
        assert edge.house.heard == []
    else:
        assert len(edge.house.heard) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe{",
        b"[]",
        b"{" * 100_000,
        b'{"model":"demo","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"demo","input":"x","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"model":"demo","messages":[],"input":5}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_each_known_nasty_body_is_a_400(edge: Any, path: str, raw: bytes):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(path, content=raw)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid"


@pytest.mark.parametrize(
    "header", [{"x-ironclaw-chat": "../x"}, {"x-ironclaw-chat": ""}, {"idempotency-key": "k" * 201}]
)
async def test_odd_headers_are_refused(edge: Any, header: dict[str, str]):
    body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post("/v1/chat/completions", json=body, headers=header)

    assert answer.status_code == 400
    assert edge.house.heard == []


async def test_a_text_that_is_too_long_for_a_message_is_refused(edge: Any):
    body = {"model": "demo", "input": "é" * 200_000}
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post("/v1/responses", json=body)

    assert answer.status_code == 413
    assert edge.house.heard == []


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")
