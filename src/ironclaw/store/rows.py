"""What the tables of the registry share: the store, and a memory that every change empties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store

_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")

REMEMBERED: Final = 8192
"""Values in one memory, at most."""


class Memory(Generic[_K, _V]):
    """Values read before. A value read before a change cannot get in after it."""

    def __init__(self) -> None:
        self._values: dict[_K, _V] = {}
        self.generation = 0

    def get(self, key: _K) -> _V | None:
        """The value, if it is known."""
        return self._values.get(key)

    def put(self, key: _K, value: _V, *, generation: int) -> None:
        """Remember a value that was asked for when `generation` was in force."""
        if generation != self.generation:
            return
        if len(self._values) >= REMEMBERED:
            self._values.clear()
        self._values[key] = value

    def empty(self) -> None:
        """Forget everything, and what is being read now."""
        self.generation += 1
        self._values.clear()


class _Empties(Protocol):
    def empty(self) -> None: ...


class Rows:
    """Base of the registry's tables."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._memories: list[_Empties] = []

    def _memory(self, memory: Memory[_K, _V]) -> Memory[_K, _V]:
        self._memories.append(memory)
        return memory

    async def _change(self, work: Callable[[apsw.Connection], _T]) -> _T:
        try:
            return await self._store.write(work)
        finally:
            for memory in self._memories:
                memory.empty()
