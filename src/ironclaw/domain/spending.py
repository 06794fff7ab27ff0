"""Spending: what a model call costs, what is left of a budget, what a call may still use. Pure.

    worst (input guessed, output as much as it may be) -> grant -> Grant | Spent
    what was counted -> cost -> what the reservation is corrected by

Money is in millionths of the house's currency (`micros`), a price in thousandths of those for one
token: a price of 3 a million tokens is 3,000. Everything is a whole number, rounded up.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Agent
    from ironclaw_contract.codes import WireCode

DAY_MS: Final = 24 * 60 * 60 * 1000
MICROS: Final = 1_000_000
"""Of one unit of the currency."""
WARN_PERCENT: Final = 80
LEAST_OUTPUT: Final = 256
"""Tokens of an answer below which no call is begun: half a sentence helps nobody."""
_PER_MICRO: Final = 1000
_AMOUNT: Final = re.compile(r"(?P<whole>[0-9]{1,7})(?:\.(?P<rest>[0-9]{1,6}))?")
_MOST_RAISED: Final = 2**53
MOST_TOKENS: Final = 100_000_000
"""Of one call, read or written: no provider counts more, whatever it says."""
MOST: Final = 2**53
"""Of anything that is counted: sums stay within what the store adds up."""


# --- prices ---------------------------------------------------------------------------------------


_Nanos = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prices from a size of the input on, in thousandths of a millionth for one token."""

    over: Annotated[int, msgspec.Meta(ge=0, le=MOST)] = 0
    """It holds for calls whose input is longer than so many tokens."""
    input: _Nanos
    output: _Nanos
    cached: _Nanos
    """Input that the provider had kept."""
    written: _Nanos
    """Input that the provider keeps from now on."""
    call: _Nanos = 0
    """Of the call itself."""


Rates: TypeAlias = tuple[Tier, ...]
"""By size of the input, the smallest first; never empty."""
FREE: Final[Rates] = (Tier(input=0, output=0, cached=0, written=0),)


class Counted(NamedTuple):
    """What a call used, in tokens."""

    input: int
    """All that was read, `cached` and `written` within it."""
    output: int
    cached: int = 0
    written: int = 0

    def believable(self) -> Counted:
        """Within what one call can use.

        Trust:
            A provider says it, and may say anything that is a number.
        """
        return Counted(*(min(max(0, one), MOST_TOKENS) for one in self))


def cost(rates: Rates, used: Counted) -> int:
    """What a call costs, in micros; rounded up."""
    tier = next((one for one in reversed(rates) if used.input > one.over), rates[0])
    cached = min(used.cached, used.input)
    written = min(used.written, used.input - cached)
    nanos = (
        (used.input - cached - written) * tier.input
        + cached * tier.cached
        + written * tier.written
        + used.output * tier.output
        + tier.call
    )
    return min(-(-nanos // _PER_MICRO), MOST)


def worst_cost(rates: Rates, *, tokens: int, output: int) -> int:
    """The most that a call with such an input and output can cost: all of it newly kept."""
    return max(
        cost(rates, Counted(tokens, output)), cost(rates, Counted(tokens, output, 0, tokens))
    )


# --- budgets --------------------------------------------------------------------------------------


class Per(enum.StrEnum):
    """How long a budget is for."""

    DAY = "day"
    SESSION = "session"


class Of(enum.StrEnum):
    """What it counts."""

    CALLS = "calls"
    TOKENS = "tokens"
    MONEY = "money"


class Amounts(NamedTuple):
    """What was used: of one row, or summed up."""

    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 0
    micros: int = 0
    unpriced: int = 0
    """Calls whose price nobody knew."""
    model_ms: int = 0

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Amounts) -> Amounts:
        """The sum."""
        return Amounts(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Amounts) -> Amounts:
        """What is to be added to `other` to make this."""
        return Amounts(*(mine - its for mine, its in zip(self, other, strict=True)))

    def of(self, what: Of) -> int:
        """The part that a budget counts."""
        match what:
            case Of.CALLS:
                return self.calls
            case Of.TOKENS:
                return self.tokens
            case Of.MONEY:
                return self.micros


class Row(NamedTuple):
    """Where something is counted."""

    agent: AgentId
    day: int
    """Days since 1970-01-01, UTC."""
    session: SessionId
    model: str
    """`provider/model`."""


class Used(NamedTuple):
    """What was used by now, as far as budgets ask."""

    day: Amounts
    session: Amounts

    def within(self, per: Per) -> Amounts:
        """The one of the two."""
        return self.day if per is Per.DAY else self.session


class Budget(NamedTuple):
    """One limit of an agent."""

    of: Of
    per: Per
    most: int

    @property
    def name(self) -> str:
        """The field of the agent that it is, and of the change that raises it."""
        return f"{self.of.value}_per_{self.per.value}"


class Spent(NamedTuple):
    """A budget that does not let a call through."""

    budget: Budget
    used: int


class Grant(NamedTuple):
    """A call may be sent; it is reserved."""

    output: int
    """Tokens that its answer may have."""
    reserved: Amounts


def budgets_of(agent: Agent) -> tuple[Budget, ...]:
    """The budgets that an agent has."""
    named = ((of, per, getattr(agent, f"{of.value}_per_{per.value}")) for per in Per for of in Of)
    return tuple(Budget(of, per, most) for of, per, most in named if most is not None)


def grant(
    budgets: Sequence[Budget],
    used: Used,
    *,
    tokens: int,
    output: int,
    rates: Rates | None,
    is_first: bool = True,
) -> Grant | Spent:
    """Decide whether a call may be sent, and how long its answer may be.

    What is left bounds the answer, so that neither this call nor several at once go over a budget,
    as long as the input is no longer than it is thought to be.

    Args:
        budgets: All of the agent.
        used: With everything that is reserved by now.
        tokens: How long the input is thought to be.
        output: How long the answer may be without a budget.
        rates: None only where no budget is of money.
        is_first: Whether it is the first attempt; later ones are the same call.
    """
    allowed = output
    for budget in budgets:
        have = used.within(budget.per).of(budget.of)
        left = budget.most - have
        if budget.of is Of.CALLS:
            fits = output if left > 0 or not is_first else -1
        elif budget.of is Of.TOKENS:
            fits = left - tokens
        else:
            fits = _affordable(rates or FREE, left, tokens=tokens, output=output)
        if fits < min(output, LEAST_OUTPUT):
            return Spent(budget, have)
        allowed = min(allowed, fits)
    reserved = Amounts(
        calls=int(is_first),
        input_tokens=tokens,
        output_tokens=allowed,
        micros=0 if rates is None else worst_cost(rates, tokens=tokens, output=allowed),
        unpriced=int(rates is None),
    )
    return Grant(allowed, reserved)


def _affordable(rates: Rates, left: int, *, tokens: int, output: int) -> int:
    """How long an answer `left` micros pay for, at most `output`; -1: not even an empty one."""
    if left < worst_cost(rates, tokens=tokens, output=0):
        return -1
    if left >= worst_cost(rates, tokens=tokens, output=output):
        return output if left > 0 or rates == FREE else -1
    low, high = 0, output
    while high - low > 1:
        middle = (low + high) // 2
        if worst_cost(rates, tokens=tokens, output=middle) <= left:
            low = middle
        else:
            high = middle
    return low


def nearly_spent(budgets: Sequence[Budget], used: Used) -> tuple[Spent, ...]:
    """Budgets of which so much is used that people are told, but not all of it."""
    found = []
    for budget in budgets:
        have = used.within(budget.per).of(budget.of)
        if have < budget.most and have * 100 >= budget.most * WARN_PERCENT:
            found.append(Spent(budget, have))
    return tuple(found)


def raised(budget: Budget) -> int:
    """The limit that the house proposes when a budget is used up: twice as much.

    Of a small one that would be used up again at once: then it is what is worth a decision.
    """
    least = {Of.CALLS: 10, Of.TOKENS: 100_000, Of.MONEY: MICROS}[budget.of]
    return min(max(2 * budget.most, least), _MOST_RAISED)


# --- words ----------------------------------------------------------------------------------------


def money(micros: int, currency: str) -> str:
    """An amount for people: `1.25 USD`; more digits where they say something."""
    whole, rest = divmod(abs(micros), MICROS)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{digits} {currency}"


def micros(text: str) -> int:
    """An amount of money as people write it (`1.25`), in micros. Raises ValueError."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError("this is no amount of money")
    return int(found["whole"]) * MICROS + int((found["rest"] or "0").ljust(6, "0"))


def amount(of: Of, value: int, currency: str) -> str:
    """A value of a budget for people."""
    return money(value, currency) if of is Of.MONEY else str(value)


_WHAT: Final = {Of.CALLS: "model calls", Of.TOKENS: "tokens", Of.MONEY: "money for its model"}
_WHEN: Final = {Per.DAY: "of today (UTC)", Per.SESSION: "of this conversation"}


def words_of(spent: Spent, currency: str) -> str:
    """Which budget, and how much of it: `model calls of today (UTC): 8 of 10`."""
    of, per, most = spent.budget
    have, whole = amount(of, spent.used, currency), amount(of, most, currency)
    return f"{_WHAT[of]} {_WHEN[per]}: {have} of {whole}"


def warning(spent: Spent, currency: str) -> str:
    """What people are told when a budget is nearly used up."""
    percent = spent.used * 100 // max(1, spent.budget.most)
    return (
        f"The agent has used {percent} % of its {words_of(spent, currency)}. "
        "When all of it is used, it is paused."
    )


def refusal(spent: Spent, currency: str, *, change: str | None, wanted: int) -> str:
    """What people are told when a call was not sent.

    Args:
        spent: The budget.
        currency: The house's.
        change: The pending change that raises it; None when there is none.
        wanted: The limit that this change asks for.
    """
    of, per, _ = spent.budget
    lines = [f"The agent is paused: its budget is used up ({words_of(spent, currency)})."]
    if change is not None:
        to = amount(of, wanted, currency)
        lines.append(f"`ironclaw approve {change}` raises it to {to}; then say it again.")
    else:
        lines.append("People can raise it: `ironclaw agent limits`.")
    lines.append(
        "Else it goes on after midnight (UTC)."
        if per is Per.DAY
        else "Else `/new` begins another conversation."
    )
    return " ".join(lines)


# --- between the model service and whoever counts -------------------------------------------------


class Refusal(NamedTuple):
    """Why an attempt is not made."""

    code: WireCode
    text: str
    """For the box: nothing of price or provider."""
    word: str
    """For people."""


class Meter(Protocol):
    """Counts the attempts of one call, or of two where it is asked in another way."""

    async def begin(self, model: str, output: int) -> int | Refusal:
        """Before an attempt: how many tokens its answer may have. Durable where a budget holds.

        Args:
            model: `provider/model`.
            output: Tokens that it would have without a budget.
        """
        ...

    async def end(self, counted: Counted | None, said_bytes: int) -> None:
        """The attempt is over.

        Args:
            counted: What its provider counted; None when that is not known.
            said_bytes: What came of it, in bytes, for that case.
        """
        ...

    def cut(self, said_bytes: int) -> None:
        """The attempt was cut off: nobody will say what it used."""
        ...

    def another(self) -> None:
        """The next attempt is a call of its own."""
        ...


class NoMeter:
    """Counts nothing."""

    async def begin(self, model: str, output: int) -> int | Refusal:
        """As it is."""
        del model
        return output

    async def end(self, counted: Counted | None, said_bytes: int) -> None:
        """Not counted."""

    def cut(self, said_bytes: int) -> None:
        """Not counted."""

    def another(self) -> None:
        """Not counted."""
