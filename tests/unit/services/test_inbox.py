"""What a box is given, and how long it is remembered."""

from __future__ import annotations

import pytest

from ironclaw.core.ids import MessageId
from ironclaw.domain.model import Message
from ironclaw.services.inbox import REMEMBERED, Inbox
from ironclaw.testing.fakes_store import Conversation, CoreStore


@pytest.fixture
async def talk(store: CoreStore) -> Conversation:
    return await store.begin()


@pytest.fixture
def inbox(store: CoreStore, talk: Conversation) -> Inbox:
    return Inbox(store.ledger, talk.session)


@pytest.fixture
async def answered(inbox: Inbox, talk: Conversation) -> Message:
    """A message that the box has answered; the ledger of these tests never hears of it."""
    await talk.hear("hi")
    inbox.wake(None)
    (message,) = await inbox.take()
    inbox.mark([message])
    assert list(inbox.settle([message.id])) == [message]
    inbox.wake(None)
    return message


@pytest.mark.usefixtures("answered")
async def test_an_answered_message_is_not_given_again_by_a_read_of_before(inbox: Inbox) -> None:
    assert await inbox.take() == []


async def test_what_is_remembered_of_answered_messages_does_not_grow(
    inbox: Inbox, answered: Message
) -> None:
    list(inbox.settle(MessageId(f"msg_{number}") for number in range(REMEMBERED)))

    assert [found.id for found in await inbox.take()] == [answered.id]
