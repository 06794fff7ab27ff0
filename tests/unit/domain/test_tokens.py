"""Tokens only take from what their principal may do."""

from __future__ import annotations

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId, TokenId
from ironclaw.domain.rights import Right
from ironclaw.domain.tokens import LIMITS, Scope, Token, check_wish, hash_of, limit_of


def test_every_scope_has_a_limit_and_only_admin_lets_all_through() -> None:
    assert set(LIMITS) == set(Scope)
    assert [scope for scope in Scope if LIMITS[scope] == frozenset(Right)] == [Scope.ADMIN]


def test_only_approve_and_admin_let_decisions_through() -> None:
    deciding = {scope for scope in Scope if Right.DECIDE in LIMITS[scope]}

    assert deciding == {Scope.ADMIN, Scope.APPROVE}


def test_who_approves_does_not_talk_or_ask() -> None:
    assert limit_of([Scope.APPROVE]) == {Right.READ, Right.DECIDE}


def test_no_scope_is_no_right() -> None:
    assert limit_of([]) == frozenset()


def test_a_token_is_active_until_it_expires_or_is_revoked() -> None:
    token = Token(
        id=TokenId("tok_a"),
        name="desk",
        principal=PrincipalId("api:ann"),
        scopes=frozenset({Scope.READ}),
        created_ms=0,
        expires_ms=10,
        hash=hash_of("icl_a"),
    )

    assert token.is_active(9)
    assert not token.is_active(10)
    assert not Token(
        id=token.id,
        name=token.name,
        principal=token.principal,
        scopes=token.scopes,
        created_ms=0,
        revoked_ms=1,
        hash=token.hash,
    ).is_active(1)


WISH = {
    "name": "desk",
    "scopes": frozenset({Scope.READ}),
    "ttl_s": None,
    "principal": PrincipalId("api:desk"),
}


def test_a_good_wish_is_taken() -> None:
    check_wish(**WISH)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"name": "x\n"},
        {"scopes": frozenset()},
        {"ttl_s": 0},
        {"ttl_s": 11 * 366 * 86_400},
        {"principal": "desk"},
        {"principal": "api:"},
        {"principal": "api:a\nb"},
        {"principal": "agent:agt_a"},
    ],
)
def test_what_no_token_can_be_is_refused(wrong: dict[str, object]) -> None:
    """Above all: nobody gets a token that speaks as an agent."""
    with pytest.raises(UserError) as caught:
        check_wish(**(WISH | wrong))  # type: ignore[arg-type]

    assert caught.value.code is Code.INVALID
    assert caught.value.hint
