"""The names of tools: the host's list is the program's, and nothing else is a tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.tree import ROOT

from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.tools import HOST_TOOLS, TOOLS
from ironclaw.services.host_tools.asking import Request, Withdrawal
from ironclaw.services.host_tools.sending import Message
from ironclaw.services.host_tools.standing import Nothing
from ironclaw_agent.tools.host import SPECS as HOST_SPECS
from ironclaw_agent.tools.host import HostTools
from ironclaw_agent.tools.table import Toolbox

if TYPE_CHECKING:
    from pathlib import Path


def test_the_host_knows_exactly_the_tools_that_the_program_has(tmp_path: Path) -> None:
    place = str(tmp_path)
    specs = Toolbox(place, HostTools("none.sock"), memory=place, shared=place).specs

    assert set(TOOLS) == set(specs)
    for name, words in TOOLS.items():
        assert specs[name].description.startswith(words), name


def test_the_host_knows_which_tools_are_its_own_to_carry_out() -> None:
    assert {spec.name for spec in HOST_SPECS} == HOST_TOOLS
    assert set(TOOLS) >= HOST_TOOLS


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("my_rights", Nothing),
        ("request_change", Request),
        ("send_message", Message),
        ("withdraw_change", Withdrawal),
    ],
)
def test_the_model_is_told_the_arguments_that_the_host_takes(
    name: str, arguments: type[msgspec.Struct]
) -> None:
    """The program does not know them either: what it says of them is text."""
    (spec,) = [spec for spec in HOST_SPECS if spec.name == name]
    told = msgspec.json.decode(spec.parameters)
    (real,) = msgspec.json.schema_components([arguments])[1].values()
    assert told["properties"].keys() == real["properties"].keys()
    assert told.get("required", []) == real["required"]
    for field, schema in told["properties"].items():
        taken = real["properties"][field]
        (taken,) = [each for each in taken.get("anyOf", [taken]) if each.get("type") != "null"]
        # What the host keeps raw is an object, and is read by its kind.
        assert schema["type"] == taken.get("type", "object")
        for bound in ("minimum", "maximum", "minLength", "maxLength"):
            assert schema.get(bound) == taken.get(bound), (field, bound)


def test_an_agent_is_told_of_every_change_that_it_may_ask_for() -> None:
    """Its program does not know the kinds, so their names stand in a text."""
    (told,) = [spec.description for spec in HOST_SPECS if spec.name == "request_change"]
    for kind, spec in SPECS.items():
        if spec.by_agents:
            assert kind in told, kind
            for field in set(spec.__struct_fields__) - {"agent"}:
                # Agents write a time as people do, and the host makes milliseconds of it.
                name = "at" if field == "at_ms" else field
                assert f"`{name}`" in told, (kind, field)


def test_the_page_of_tools_has_each_of_them() -> None:
    page = (ROOT / "docs" / "reference" / "tools.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert rows == [f"| `{name}` | {words} |" for name, words in TOOLS.items()]
