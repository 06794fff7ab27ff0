"""Usage over the API, and in metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import generate_latest

from ironclaw.api.metrics import MOST_MODELS, Metrics
from ironclaw.domain.spending import Amounts

if TYPE_CHECKING:
    from tests.unit.api.conftest import Edge

USED = Amounts(
    calls=1,
    input_tokens=10,
    cached_tokens=4,
    written_tokens=1,
    output_tokens=3,
    micros=2_500_000,
    model_ms=1500,
)


async def test_usage_is_told_by_what_is_asked_for(edge: Edge) -> None:
    async with edge.client() as client:
        told = (await client.get("/v1/usage?agent=demo")).json()
        (row,) = told["rows"]
        assert (told["currency"], row["agent"], row["micros"]) == ("USD", "demo", 1_250_000)
        days = (await client.get("/v1/usage?by=day")).json()["rows"]
        assert days[0]["day"] > days[-1]["day"]
        for query in ("by=nothing", "from=never", "from=2026-01-02&to=2026-01-01"):
            answer = await client.get(f"/v1/usage?{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert (await client.get("/v1/usage?agent=nobody")).status_code == 404


def _text(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_metrics_count_each_kind_of_token_once() -> None:
    metrics = Metrics()
    metrics.model_used("demo", "p/m", USED)
    metrics.budget_spent("demo")
    text = _text(metrics)
    for kind, count in (("input", 5), ("cached", 4), ("written", 1), ("output", 3)):
        labels = f'agent="demo",kind="{kind}",model="p/m"'
        assert f"ironclaw_model_tokens_total{{{labels}}} {count}.0" in text
    assert 'ironclaw_model_cost_total{agent="demo",model="p/m"} 2.5' in text
    assert 'ironclaw_model_calls_total{agent="demo",model="p/m"} 1.0' in text
    assert 'ironclaw_budget_spent_total{agent="demo"} 1.0' in text


def test_labels_have_an_end() -> None:
    metrics = Metrics()
    for number in range(MOST_MODELS + 5):
        metrics.model_used(f"a{number}", "m", USED)
    text = _text(metrics)
    assert 'ironclaw_model_calls_total{agent="other",model="other"} 5.0' in text
    assert f'agent="a{MOST_MODELS}"' not in text
