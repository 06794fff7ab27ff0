import pytest

from ironclaw.core.errors import UserError
from ironclaw.domain.box_limits import (
    CPU_MILLIS,
    FILE_BYTES,
    FILES,
    MEMORY_BYTES,
    PIDS,
    Bounds,
    check_box_limits,
)
from ironclaw.domain.model import BoxLimits

EACH = {
    "memory_bytes": MEMORY_BYTES,
    "cpu_millis": CPU_MILLIS,
    "pids": PIDS,
    "files": FILES,
    "file_bytes": FILE_BYTES,
}


def test_what_a_box_has_by_default_is_within() -> None:
    check_box_limits(BoxLimits())


@pytest.mark.parametrize(("name", "bounds"), EACH.items())
def test_the_least_and_the_most_are_within_and_nothing_beyond(name: str, bounds: Bounds) -> None:
    for value in bounds:
        check_box_limits(BoxLimits(**{name: value}))
    for value in (bounds.least - 1, bounds.most + 1):
        with pytest.raises(UserError) as caught:
            check_box_limits(BoxLimits(**{name: value}))
        assert name in caught.value.message
