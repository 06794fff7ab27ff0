"""Tokens only take from what their principal may do."""

from __future__ import annotations

import pytest

from ironclaw.core.ids import PrincipalId, TokenId
from ironclaw.domain.rights import Right
from ironclaw.domain.tokens import IMPLIES, LIMITS, Scope, Token, allows, hash_of, limit_of


def test_every_scope_implies_itself_and_has_a_limit() -> None:
    assert set(IMPLIES) == set(LIMITS) == set(Scope)
    assert all(scope in implied for scope, implied in IMPLIES.items())


@pytest.mark.parametrize("scope", Scope)
def test_what_a_scope_implies_brings_no_right_of_its_own(scope: Scope) -> None:
    assert limit_of(IMPLIES[scope]) == LIMITS[scope]


def test_only_approve_and_admin_let_decisions_through() -> None:
    deciding = {scope for scope in Scope if Right.DECIDE in LIMITS[scope]}

    assert deciding == {Scope.ADMIN, Scope.APPROVE}


def test_who_approves_does_not_talk_or_ask() -> None:
    assert limit_of([Scope.APPROVE]) == {Right.READ, Right.DECIDE}
    assert allows(frozenset({Scope.APPROVE}), frozenset({Scope.READ}))
    assert not allows(frozenset({Scope.APPROVE}), frozenset({Scope.CHAT, Scope.OPERATE}))


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
