# ruff: noqa: INP001, F401 (laid over the standard module in the sealed program)
"""The C implementation alone; the standard module first builds the same classes in Python."""

from _datetime import (
    MAXYEAR,
    MINYEAR,
    date,
    datetime,
    datetime_CAPI,
    time,
    timedelta,
    timezone,
    tzinfo,
)

UTC = timezone.utc
