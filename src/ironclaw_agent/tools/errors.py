"""How a tool says no: in words that a model can act on."""

from __future__ import annotations


class ToolError(Exception):
    """The call cannot be done. The text goes to the model: what is wrong, and what to do."""
