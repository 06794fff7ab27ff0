"""What the posture step costs is timed where it happens, and nothing stays wrapped."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ironclaw.bench.posture import PostureCosts
from ironclaw.sandbox.isolator import RunscIsolator
from ironclaw.services.receipts import Receipts
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.receipts import launch

if TYPE_CHECKING:
    from pathlib import Path


async def test_each_binding_is_timed_while_it_is_watched(tmp_path: Path) -> None:
    costs = PostureCosts()
    async with open_core_store(tmp_path) as core:
        talk = await core.begin()
        session = await core.registry.session(talk.session)
        with costs.watching():
            await core.receipts.bind(session, launch())
            await core.receipts.bind(session, launch("slt_other"))
        await core.receipts.bind(session, launch("slt_unwatched"))

        assert (await core.registry.receipt(talk.session)).slot == "slt_unwatched"

    assert len(costs.bindings) == 2
    assert min(costs.bindings) > 0
    assert costs.proofs == []


def test_what_was_wrapped_is_itself_again() -> None:
    before = (RunscIsolator.prove, Receipts.bind)

    with contextlib.suppress(RuntimeError), PostureCosts().watching():
        assert RunscIsolator.prove is not before[0]
        raise RuntimeError

    assert (RunscIsolator.prove, Receipts.bind) == before
