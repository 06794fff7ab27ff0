"""Errors in the words of the command line: the option that was typed, not the field of the API.

The daemon speaks of the body that it was sent: `change.every_s`. Whoever typed a command has sent
no body, but `--every`. The command itself says which of its parameters a field is: most have the
field's name, the others are in a table here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ironclaw.core.errors import IronClawError

_MISFIT: Final = "The body does not fit: "
"""How the daemon begins what it says of a body with a mistake."""
_FIELD: Final = re.compile(
    r"`(?P<place>[a-z_]+(?:\.[a-z_]+|\[[^\]`]*\])*)`(?: \((?:`--[a-z-]+`|the chat)\))?"
)
_CHANGE: Final = "change."
_SPEC: Final = "spec"
"""The parameter of commands that take a whole change as JSON: its fields are what was typed."""
_PARAMETERS: Final = {
    "fallbacks": "fallback",
    "grant_s": "lasts",
    "max_output_tokens": "max_output",
    "platform_id": "chat",
    "scopes": "scope",
    "strangers": "unknown_sender",
    "tools": "tool",
    "words": "because",
}
"""The parameter that a field is from, where it has neither its name nor that without the unit."""
_UNITS: Final = ("_s", "_ms")


def as_typed(error: IronClawError, command: Any, path: str) -> IronClawError:
    """The error, speaking of options and arguments where it spoke of fields.

    Args:
        error: What the daemon, or the command, said; its code stays.
        command: What was typed; None: nothing that is a command.
        path: Its whole name, `ironclaw task add`.
    """
    parameters = {one.name: one for one in getattr(command, "params", ())}
    if not parameters:
        return error
    is_misfit = error.message.startswith(_MISFIT)

    def word(found: re.Match[str]) -> str:
        return _word(found, parameters, is_misfit=is_misfit)

    error.message = _FIELD.sub(word, error.message)
    if is_misfit and _SPEC not in parameters:
        error.message = error.message.removeprefix(_MISFIT)
        error.hint = f"`{path} --help` shows what it takes."
    else:
        error.hint = _FIELD.sub(word, error.hint)
    return error


def _word(found: re.Match[str], parameters: dict[str, Any], *, is_misfit: bool) -> str:
    """What was typed for a field; as it is where nothing was."""
    name = found["place"].removeprefix(_CHANGE)
    is_of_change = name != found["place"]
    if is_of_change and _SPEC in parameters:
        return found[0]
    parameter = _parameter(name.partition("[")[0], parameters)
    # Only in what is said of a body is each such word a field: `agent` can be a channel as well.
    if parameter is not None and (is_misfit or parameter.param_type_name == "option"):
        return f"`{_typed(parameter)}`"
    return f"`{name}`" if is_of_change else found[0]


def _parameter(name: str, parameters: dict[str, Any]) -> Any:
    """The parameter that a field is from; None when there is none."""
    unit = next((unit for unit in _UNITS if name.endswith(unit)), "")
    names = (name, _PARAMETERS.get(name, ""), name.removesuffix(unit))
    return next((parameters[one] for one in names if one in parameters), None)


def _typed(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return str(parameter.opts[0])
    return str(parameter.metavar or parameter.name.upper())
