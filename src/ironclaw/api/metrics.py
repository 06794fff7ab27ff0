"""Prometheus metrics: one for each budget, and errors by code. No label is made of content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ironclaw.domain.spending import MICROS

if TYPE_CHECKING:
    from ironclaw.core.codes import Code
    from ironclaw.domain.spending import Amounts
    from ironclaw.services.house import Health

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FAST: Final = (0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
MOST_MODELS: Final = 256
"""Pairs of agent and model with labels of their own; all others are `other`."""
_SLOW: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"ironclaw_{name}", text, buckets=buckets, registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"ironclaw_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"ironclaw_{name}", text, registry=self.registry)

        self._round_trip = histogram(
            "round_trip_seconds", "Message accepted until its reply was handed over.", _FAST
        )
        self._claim = histogram(
            "claim_seconds", "Claim of a blank slot until the box has its key.", _FAST
        )
        self._launch = histogram("launch_seconds", "Launch of a box until its hello.", _SLOW)
        self._request = histogram("http_request_seconds", "HTTP requests, streams aside.", _FAST)
        self._launches = counter("launches_total", "Launches of boxes, by outcome.", "outcome")
        self._deliveries = counter("deliveries_total", "Deliveries, by outcome.", "outcome")
        self._messages = counter("messages_total", "Messages taken in through the API.", "reason")
        self._errors = counter("errors_total", "Errors, by code of the table.", "code")
        self._requests = counter("http_requests_total", "HTTP answers, by status.", "status")
        self._tokens = counter(
            "model_tokens_total", "Tokens of model calls, by kind.", "agent", "model", "kind"
        )
        self._calls = counter("model_calls_total", "Model calls.", "agent", "model")
        self._money = counter(
            "model_cost_total", "What model calls cost, in the house's currency.", "agent", "model"
        )
        self._unpriced = counter(
            "model_unpriced_total", "Model calls whose price nobody knew.", "agent", "model"
        )
        self._waited = counter(
            "model_wait_seconds_total", "Time waited for models.", "agent", "model"
        )
        self._refused = counter(
            "budget_spent_total", "Model calls not sent: a budget was used up.", "agent"
        )
        self._pairs: set[tuple[str, str]] = set()
        self._gauges = {
            "ready": gauge("ready", "1 when messages are taken."),
            "sessions": gauge("sessions", "Sessions registered."),
            "boxes": gauge("boxes", "Boxes running, blank ones included."),
            "blank_slots": gauge("blank_slots", "Blank slots ready to be claimed."),
            "pending_messages": gauge("pending_messages", "Messages not answered yet."),
            "dead_letters": gauge("dead_letters", "Deliveries given up."),
            "core_rss_bytes": gauge("core_rss_bytes", "Resident memory of the core."),
        }

    def round_trip(self, seconds: float) -> None:
        """A reply was handed to its channel so long after its message was accepted."""
        self._round_trip.observe(seconds)

    def claim(self, seconds: float) -> None:
        """A blank slot became a session's box."""
        self._claim.observe(seconds)

    def launch(self, seconds: float, *, outcome: str = "ok") -> None:
        """A box was launched, or was not: `outcome` is `ok` or an error code."""
        self._launches.labels(outcome).inc()
        if outcome == "ok":
            self._launch.observe(seconds)

    def delivery(self, outcome: str) -> None:
        """A delivery was `delivered`, `postponed` or `dead`."""
        self._deliveries.labels(outcome).inc()

    def message(self, reason: str) -> None:
        """A message came in; `reason` is the router's word."""
        self._messages.labels(reason).inc()

    def error(self, code: Code) -> None:
        """An error was shown or logged."""
        self._errors.labels(code.value).inc()

    def request(self, status: int, seconds: float | None) -> None:
        """An HTTP answer; `seconds` is None for a stream."""
        self._requests.labels(str(status)).inc()
        if seconds is not None:
            self._request.observe(seconds)

    def model_used(self, agent: str, model: str, amounts: Amounts) -> None:
        """An attempt at a model used so much."""
        agent, model = self._pair(agent, model)
        tokens = {
            "input": amounts.input_tokens - amounts.cached_tokens - amounts.written_tokens,
            "cached": amounts.cached_tokens,
            "written": amounts.written_tokens,
            "output": amounts.output_tokens,
        }
        for kind, count in tokens.items():
            if count > 0:
                self._tokens.labels(agent, model, kind).inc(count)
        for counted, more in (
            (self._calls, amounts.calls),
            (self._money, amounts.micros / MICROS),
            (self._unpriced, amounts.unpriced),
            (self._waited, amounts.model_ms / 1000),
        ):
            if more > 0:
                counted.labels(agent, model).inc(more)

    def budget_spent(self, agent: str) -> None:
        """A call was not sent."""
        self._refused.labels(self._pair(agent, "")[0]).inc()

    def _pair(self, agent: str, model: str) -> tuple[str, str]:
        pair = (agent, model)
        if pair not in self._pairs:
            if len(self._pairs) >= MOST_MODELS:
                return ("other", "other")
            self._pairs.add(pair)
        return pair

    def render(self, health: Health) -> bytes:
        """The text for Prometheus, with gauges as of now."""
        for name, gauge in self._gauges.items():
            gauge.set(float(getattr(health, name)))
        return generate_latest(self.registry)
