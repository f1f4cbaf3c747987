"""What the cells of an export show."""

from datetime import datetime

import pytest

from crm.excel.widgets import DateTimeWidget


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("2025-03-01 23:05:09.123456", "2025-03-02 07:05:09"),
        ("2025-03-01T23:05:09Z", "2025-03-02 07:05:09"),
        ("2025-03-02T07:05:09.120+08:00", "2025-03-02 07:05:09"),
        ("1988-04-16 17:59:59", "1988-04-17 01:59:59"),
        ("1988-04-16 18:00:00", "1988-04-17 03:00:00"),  # summer time
        ("1900-12-31 15:54:16", "1900-12-31 23:59:59"),  # the time of Shanghai itself, until within this hour
        ("1900-12-31 15:54:17", "1900-12-31 23:54:17"),
    ],
)
def test_a_moment_is_shown_in_local_time_to_the_second(stored, shown):
    assert DateTimeWidget().render(stored) == datetime.fromisoformat(shown)


def test_no_moment_is_a_blank_cell():
    assert DateTimeWidget().render(None) is None
