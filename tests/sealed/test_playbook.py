"""One story with every model: the scripted one, and each provider's protocol, in real boxes.

A day with an agent: tools, files in and out, a killed box, a question, a task over a change of the
clocks, another agent, a stop, a budget. One house holds all conversations at once; what only one
of them may do at a time is done apart.
"""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.support.house import House
from tests.support.model_answers import KINDS
from tests.support.model_judges import judge
from tests.support.playbook import ProviderMind, ScriptedMind, serving
from tests.support.story import EVENING, NINE_IN_OSLO, Story, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.api import Api
    from tests.support.house import Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(240)]

HERE: Final = Path(__file__).parent
AT_ONCE: Final = 6
"""Conversations."""


class Steered:
    """A house, and what time it is there."""

    def __init__(self, house: House, file: Path) -> None:
        self.house = house
        self._file = file
        self.leap(EVENING)

    def leap(self, moment: datetime) -> None:
        """Set the core's clock."""
        offset = milliseconds(moment) - time.time_ns() // 1_000_000
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(offset))
        fresh.chmod(0o644)
        fresh.rename(self._file)

    def start(self) -> None:
        """Start it."""
        words = dict(word.split("=", 1) for word in self.house.argv() if word.startswith("IRON"))
        program = (self.house.python, "-s", "-P", str(HERE / "steered_core.py"), str(self._file))
        argv = self.house.as_user(*program, environment=words)
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=90, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def steered(houses_of: Houses) -> Iterator[tuple[Steered, list[ProviderMind]]]:
    """A house at the evening before the story's first morning, with every provider there is."""
    minds = [ProviderMind(f"p{number}", kind) for number, kind in enumerate(KINDS)]
    with serving(minds), houses_of.closed() as house:
        key, config = house.place / "key", house.place / "config.toml"
        key.write_text("sk-of-nobody")
        config.write_text("\n".join(mind.table(f"file:{key}") for mind in minds))
        for path in (key, config):
            path.chmod(0o600)
            if house.person is not None:
                os.chown(path, house.person.uid, house.person.gid)
        house.settings = {"CONFIG": str(config)}
        try:
            there = Steered(house, house.place / "clock")
            there.start()
            yield there, minds
        finally:
            house.cli("down")


def test_one_story_with_every_model(steered: tuple[Steered, list[ProviderMind]]) -> None:
    there, minds = steered
    stories = [Story(there.house, mind) for mind in (ScriptedMind(), *minds)]
    with ThreadPoolExecutor(AT_ONCE) as pool, ExitStack() as stack:
        apis = [stack.enter_context(there.house.api()) for _ in stories]

        def all_at_once(part: Callable[..., None], *more: object) -> None:
            wrong = list(pool.map(attempt, [(part, more)] * len(stories), stories, apis))
            if found := [error for error in wrong if error is not None]:
                raise ExceptionGroup(f"stories that went wrong: {part.__name__}", found)

        apis[0].be_solo()
        for part in (Story.morning, Story.noon, Story.evening, Story.hang):
            all_at_once(part)
        for story, api in zip(stories, apis, strict=True):
            story.stop(api)
        all_at_once(Story.go_on)
        for nine in NINE_IN_OSLO:
            there.leap(nine - timedelta(seconds=2))
            stories[0].wake(apis[0], nine)
            all_at_once(Story.report, nine)
        all_at_once(Story.budget)
    for mind in minds:
        for asked in mind.server.asked[-15:]:
            judge(mind.server.kind, asked)


def attempt(
    part: tuple[Callable[..., None], tuple[object, ...]], story: Story, api: Api
) -> Exception | None:
    """One part of one story; what goes wrong, with whose."""
    do, more = part
    try:
        do(story, api, *more)
    except Exception as error:  # noqa: BLE001 - the others go on; it is raised at the end
        error.add_note(f"with {story.mind.name}")
        return error
    return None
