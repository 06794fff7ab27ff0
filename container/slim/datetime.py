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
