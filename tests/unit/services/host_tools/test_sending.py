"""An agent sends to the destinations that it has now, once, and not too often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.services.host_tools.service import SENT_PER_MINUTE

if TYPE_CHECKING:
    from tests.unit.services.host_tools.conftest import Desk

LETTER = {"destination": "ops", "text": "the disk is full"}


async def test_a_message_goes_to_the_chat_of_its_destination(desk: Desk):
    used = await desk.use("send_message", LETTER)
    assert (used.is_error, used.text) == (False, "sent: it is on its way to ops")
    (delivery,) = desk.hands.deliveries
    assert (delivery.platform_id, delivery.said_by) == ("ops-room", "helper")
    assert delivery.text == "the disk is full"


async def test_the_same_use_put_again_is_sent_once(desk: Desk):
    first = await desk.use("send_message", LETTER)
    assert await desk.use("send_message", LETTER) == first
    assert await desk.again().use("send_message", LETTER) == first
    assert len(desk.hands.deliveries) == 1
    await desk.use("send_message", LETTER, key="k2")
    assert len(desk.hands.deliveries) == 2


async def test_a_destination_that_was_taken_away_is_gone_at_once(desk: Desk):
    await desk.become(destinations=())
    used = await desk.use("send_message", LETTER)
    assert used.is_error
    assert "You have none" in used.text
    assert desk.hands.deliveries == []


async def test_an_unknown_one_is_answered_with_those_there_are(desk: Desk):
    used = await desk.use("send_message", {**LETTER, "destination": "boss"})
    assert used.is_error
    assert used.text.endswith("They are: ops")


@pytest.mark.parametrize("text", ["", "  \n", "\0\0", "x" * 16_001, 4, None])
async def test_what_says_nothing_or_too_much_is_refused(desk: Desk, text: object):
    assert (await desk.use("send_message", {**LETTER, "text": text})).is_error
    assert desk.hands.deliveries == []


async def test_half_a_character_is_refused(desk: Desk):
    text = '{"destination":"ops","text":"a\\ud800"}'
    assert (await desk.use("send_message", text)).is_error
    assert desk.hands.deliveries == []


async def test_a_turn_that_is_not_of_this_session_sends_nothing(desk: Desk):
    used = await desk.use("send_message", LETTER, turn="msg_other")
    assert used.is_error
    assert desk.hands.deliveries == []


async def test_how_often_it_may_send_is_limited_and_a_repeat_is_not_counted(desk: Desk):
    for number in range(SENT_PER_MINUTE):
        assert not (await desk.use("send_message", LETTER, key=f"k{number}")).is_error
    used = await desk.use("send_message", LETTER, key="over")
    assert used.is_error
    assert used.text.startswith("rate_limited:")
    assert not (await desk.use("send_message", LETTER, key="k0")).is_error
    assert len(desk.hands.deliveries) == SENT_PER_MINUTE
    desk.clock.advance(61)
    assert not (await desk.use("send_message", LETTER, key="over")).is_error


@pytest.mark.parametrize("files", [["out_1"], ["out_1"] * 9, ["../x"], [7], "out_1"])
async def test_files_that_did_not_come_from_the_box_are_not_sent(desk: Desk, files: object):
    used = await desk.use("send_message", {**LETTER, "files": files})
    assert used.is_error
    assert desk.hands.deliveries == []
