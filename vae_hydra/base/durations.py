"""Seconds as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``3 min 20 s``, or ``2 h 5 min``.

    >>> duration(7), duration(200.2), duration(7500)
    ('7 s', '3 min 20 s', '2 h 5 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
