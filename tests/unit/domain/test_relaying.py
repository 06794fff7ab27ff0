"""Ids and chats of what agents say to each other: nothing else passes for one of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId, DeliveryId
from ironclaw.domain.relaying import (
    Pair,
    forwarded_as,
    forwarded_from,
    pair_of,
    place_of,
    returned_as,
    sender,
)

IDS = st.from_regex(r"\A[a-z]{3}_[a-z0-9]{4,16}\Z")


@given(IDS, IDS)
def test_a_chat_says_who_it_is_of(to: str, by: str) -> None:
    pair = Pair(AgentId(to), AgentId(by))
    assert pair_of(place_of(pair)) == pair


@given(IDS)
def test_a_message_says_which_delivery_it_was(delivery: str) -> None:
    id_ = DeliveryId(delivery)
    assert forwarded_from(forwarded_as(id_)) == id_
    assert forwarded_from(returned_as(id_)) is None


@given(st.text(max_size=40).filter(lambda text: not text.startswith("relay:")))
def test_no_other_id_is_one(text: str) -> None:
    assert forwarded_from(text) is None


def test_an_answer_has_an_id_that_nobody_can_send() -> None:
    assert returned_as(DeliveryId("dlv_a")).startswith("\n")
    assert sender("clerk") == "agent clerk"
