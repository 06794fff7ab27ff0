"""What the demo says at its end: what is left of it, and what comes next."""

from __future__ import annotations

from ironclaw import composition
from ironclaw.cli import demo, launch
from ironclaw.config.load import load_settings


def test_the_end_of_the_demo_names_what_is_left_and_the_agent_of_a_new_house() -> None:
    mine = load_settings(environ={}, uid=0)

    said = "\n".join(demo.left(mine))

    assert f"The image stays, in {mine.image_dir}." in said
    assert f"`{demo.AGENT}`, its house and all that was said are gone" in said
    for words in ('chat demo "hello"', "agent create NAME", "agent archive demo"):
        assert f"./run ironclaw {words}" in said


def test_the_first_agent_is_called_what_the_daemon_calls_it() -> None:
    assert launch.FIRST_AGENT == composition.DEMO_AGENT
