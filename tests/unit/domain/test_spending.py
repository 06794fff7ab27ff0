"""Spending: prices, what budgets let through, what people are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId
from ironclaw.domain.model import Agent
from ironclaw.domain.spending import (
    FREE,
    LEAST_OUTPUT,
    MOST,
    MOST_TOKENS,
    Amounts,
    Budget,
    Counted,
    Grant,
    Of,
    Per,
    Spent,
    Tier,
    Used,
    amount,
    budgets_of,
    cost,
    grant,
    micros,
    money,
    nearly_spent,
    raised,
    refusal,
    warning,
    words_of,
    worst_cost,
)

BIG = (
    Tier(input=3000, output=15_000, cached=300, written=3750),
    Tier(over=200_000, input=6000, output=22_500, cached=600, written=7500),
)
"""3 for a million tokens read, 15 written, and more for a long input."""
tokens_ = st.integers(0, 300_000)
prices = st.integers(0, 100_000)
rates_ = st.builds(
    lambda a, b: (a, b),
    st.builds(Tier, input=prices, output=prices, cached=prices, written=prices),
    st.builds(Tier, over=st.just(1000), input=prices, output=prices, cached=prices, written=prices),
)
budgets_ = st.lists(
    st.builds(Budget, st.sampled_from(Of), st.sampled_from(Per), st.integers(0, 10**7)),
    max_size=6,
    unique_by=lambda one: one[:2],
)
amounts_ = st.builds(
    Amounts, calls=st.integers(0, 10), input_tokens=tokens_, micros=st.integers(0, 10**6)
)


def test_a_call_costs_what_its_tokens_cost():
    assert cost(BIG, Counted(1_000_000 // 10, 0)) == 300_000
    assert cost(BIG, Counted(1000, 100)) == 3000 + 1500
    assert cost(BIG, Counted(1000, 0, cached=900, written=100)) == 270 + 375
    assert cost(FREE, Counted(10**6, 10**6)) == 0


@given(st.builds(Counted, *[st.integers(-(2**70), 2**70)] * 4))
def test_whatever_a_provider_counts_is_a_number_that_can_be_kept(said: Counted):
    dear = (Tier(input=10**12, output=10**12, cached=10**12, written=10**12, call=10**12),)
    counted = said.believable()
    assert all(0 <= one <= MOST_TOKENS for one in counted)
    assert 0 <= cost(dear, counted) <= MOST


def test_a_long_input_is_dearer_as_a_whole():
    assert cost(BIG, Counted(200_000, 0)) == 600_000
    assert cost(BIG, Counted(200_001, 0)) == 1_200_006


def test_what_a_call_itself_costs_is_added():
    (tier,) = FREE
    assert cost((Tier(input=0, output=0, cached=0, written=0, call=5_000_000),), Counted(0, 0)) == (
        5000
    )
    assert tier.call == 0


def test_a_part_of_a_micro_is_a_whole_one():
    assert cost((Tier(input=1, output=1, cached=1, written=1),), Counted(1, 0)) == 1


@given(rates_, tokens_, tokens_, tokens_, tokens_)
def test_no_way_of_counting_costs_more_than_the_worst(
    rates: tuple[Tier, ...], read: int, wrote: int, cached: int, written: int
):
    dearest = tuple(
        Tier(
            over=one.over,
            input=max(one.input, one.cached),
            output=one.output,
            cached=one.cached,
            written=one.written,
        )
        for one in rates
    )
    assert cost(rates, Counted(read, wrote, cached, written)) <= worst_cost(
        dearest, tokens=read, output=wrote
    )


@given(budgets_, st.builds(Used, amounts_, amounts_), tokens_, st.integers(1, 100_000), rates_)
def test_what_is_granted_fits_into_every_budget(
    budgets: list[Budget], used: Used, read: int, output: int, rates: tuple[Tier, ...]
):
    decided = grant(budgets, used, tokens=read, output=output, rates=rates)
    if isinstance(decided, Grant):
        assert 1 <= decided.output <= output
        for budget in budgets:
            after = used.within(budget.per).plus(decided.reserved).of(budget.of)
            assert after <= budget.most
    else:
        assert decided.budget in budgets
        # It is refused for a reason: with all that it may use it would not fit.
        least = min(output, LEAST_OUTPUT)
        worst = Amounts(
            calls=1,
            input_tokens=read,
            output_tokens=least,
            micros=worst_cost(rates, tokens=read, output=least),
        )
        budget = decided.budget
        after = used.within(budget.per).plus(worst).of(budget.of)
        assert after > budget.most or used.within(budget.per).of(budget.of) >= budget.most


def test_without_a_budget_everything_is_granted():
    decided = grant([], Used(Amounts(), Amounts()), tokens=5, output=10, rates=None)
    assert decided == Grant(10, Amounts(calls=1, input_tokens=5, output_tokens=10, unpriced=1))


def test_the_eleventh_call_is_refused():
    budget = Budget(Of.CALLS, Per.DAY, 10)
    used = Used(Amounts(calls=10), Amounts())
    assert grant([budget], used, tokens=0, output=9, rates=FREE) == Spent(budget, 10)
    # A second attempt is the same call.
    again = grant([budget], used, tokens=0, output=9, rates=FREE, is_first=False)
    assert isinstance(again, Grant)
    assert again.reserved.calls == 0


def test_what_is_left_bounds_the_answer():
    tokens = Budget(Of.TOKENS, Per.SESSION, 1000)
    decided = grant([tokens], Used(Amounts(), Amounts()), tokens=400, output=4096, rates=None)
    assert isinstance(decided, Grant)
    assert decided.output == 600
    dear = Budget(Of.MONEY, Per.DAY, 20_000)
    decided = grant([dear], Used(Amounts(), Amounts()), tokens=1000, output=4096, rates=BIG)
    assert isinstance(decided, Grant)
    assert (decided.output, decided.reserved.micros) == (1083, 19_995)


def test_half_a_sentence_is_not_worth_a_call():
    budget = Budget(Of.TOKENS, Per.DAY, 400 + LEAST_OUTPUT - 1)
    used = Used(Amounts(), Amounts())
    assert isinstance(grant([budget], used, tokens=400, output=4096, rates=None), Spent)
    assert isinstance(grant([budget], used, tokens=400, output=20, rates=None), Grant)


def test_a_free_model_goes_on_when_the_money_is_spent():
    budget = Budget(Of.MONEY, Per.DAY, 5)
    used = Used(Amounts(micros=5), Amounts())
    assert isinstance(grant([budget], used, tokens=1, output=9, rates=FREE), Grant)
    assert isinstance(grant([budget], used, tokens=1, output=9, rates=BIG), Spent)


def test_an_agent_has_the_budgets_that_are_set():
    agent = Agent(id=AgentId("agt_a"), name="a", calls_per_day=0, money_per_session=7)
    found = budgets_of(agent)
    assert [one.name for one in found] == ["calls_per_day", "money_per_session"]
    assert [one.most for one in found] == [0, 7]


@pytest.mark.parametrize(("used", "is_near"), [(7, False), (8, True), (9, True), (10, False)])
def test_people_are_told_from_eighty_percent_on(used: int, is_near: bool):
    budget = Budget(Of.CALLS, Per.DAY, 10)
    found = nearly_spent([budget], Used(Amounts(calls=used), Amounts()))
    assert found == ((Spent(budget, used),) if is_near else ())


def test_the_proposed_limit_is_twice_as_much_and_something():
    assert raised(Budget(Of.CALLS, Per.DAY, 50)) == 100
    assert raised(Budget(Of.CALLS, Per.DAY, 2)) == raised(Budget(Of.CALLS, Per.DAY, 0)) == 10
    assert raised(Budget(Of.TOKENS, Per.DAY, 10)) == 100_000
    assert raised(Budget(Of.MONEY, Per.DAY, 0)) == 1_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1", 1_000_000), ("2.5", 2_500_000), ("0.000001", 1), ("12.34", 12_340_000)],
)
def test_money_is_written_as_people_write_it(text: str, value: int):
    assert micros(text) == value
    assert micros(money(value, "EUR").partition(" ")[0]) == value


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "-1", "1e3", "1,5", "0.0000001", "\u0661"])
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(ValueError, match="no amount"):
        micros(text)


def test_words_name_the_budget_and_the_one_command():
    spent = Spent(Budget(Of.MONEY, Per.DAY, 2_000_000), 1_900_000)
    assert words_of(spent, "USD") == "money for its model of today (UTC): 1.90 USD of 2.00 USD"
    assert warning(spent, "USD").startswith("The agent has used 95 % of its money")
    told = refusal(spent, "USD", change="chg_1", wanted=4_000_000)
    assert "`ironclaw approve chg_1` raises it to 4.00 USD" in told
    assert "midnight" in told
    calls = Spent(Budget(Of.CALLS, Per.SESSION, 3), 3)
    told = refusal(calls, "USD", change=None, wanted=6)
    assert "`ironclaw agent limits`" in told
    assert "/new" in told
    assert amount(Of.TOKENS, 5, "USD") == "5"
