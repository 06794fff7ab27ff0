"""The closed table of codes that may cross the wall. Nothing else explains a failure to a box."""

from __future__ import annotations

import enum


class WireCode(enum.StrEnum):
    """Why something was refused or failed, in words that give nothing of the host away."""

    TOO_LARGE = "too_large"
    """The body is over its limit; nothing of it was read."""
    MALFORMED = "malformed"
    """The bytes are not exactly one value of the contract."""
    NOT_GRANTED = "not_granted"
    """The agent has no grant for this."""
    BUSY = "busy"
    """A limit on concurrent work is reached; try again later."""
    CANCELLED = "cancelled"
    """The host ended this work on purpose."""
    MODEL_REFUSED = "model_refused"
    """The provider refused for good: a key, a model name, a filter. Trying again is useless."""
    MODEL_UNAVAILABLE = "model_unavailable"
    """The provider could not answer now; the host has already tried again."""
    CONTEXT_TOO_LONG = "context_too_long"
    """The conversation does not fit the model's window."""
    TOO_MANY_STEPS = "too_many_steps"
    """The turn used all the model calls it may make."""
    BUDGET_SPENT = "budget_spent"
    """What the agent may use of its model is used up."""
    GOES_IN_CIRCLES = "goes_in_circles"
    """The turn called the same tools with the same arguments again and again."""
    INTERNAL = "internal"
    """A fault of ours, on the side that says it."""
