"""How a server of one's own says that a conversation is too long, and what is not that."""

from __future__ import annotations

import pytest
from pydantic_ai.exceptions import ModelHTTPError

from ironclaw.models.host.faults import failure
from ironclaw.models.host.redact import Redactor
from ironclaw_contract.codes import WireCode

TOO_LONG = {
    "llama.cpp": {
        "code": 400,
        "message": "request (8023 tokens) exceeds the available context size (4096 tokens), try "
        "increasing it",
        "type": "exceed_context_size_error",
    },
    "vLLM": {
        "message": "This model's maximum context length is 4096 tokens. However, you requested "
        "5000 tokens",
        "type": "BadRequestError",
    },
    "LM Studio": {
        "error": "The number of tokens to keep from the initial prompt is greater than the context "
        "length. Try to load the model with a larger context length"
    },
    "Ollama": {"error": "input length exceeds the context length"},
}
OTHERS = (
    {"message": "context_size is no parameter of this model"},
    {"message": "the tool's description is longer than allowed"},
    {"message": "no such length"},
    None,
    ["what", {"ever": 1}],
)


def judged(status: int, body: object) -> WireCode:
    return failure(1, "home", "m", ModelHTTPError(status, "m", body), Redactor()).code


@pytest.mark.parametrize("body", TOO_LONG.values(), ids=TOO_LONG)
def test_a_conversation_that_is_too_long_is_said_to_be(body: object) -> None:
    assert judged(400, body) is WireCode.CONTEXT_TOO_LONG
    assert judged(500, body) is WireCode.MODEL_UNAVAILABLE, "a refusal only"


def test_other_refusals_are_none_of_that() -> None:
    for body in OTHERS:
        assert judged(400, body) is WireCode.MODEL_REFUSED, body
