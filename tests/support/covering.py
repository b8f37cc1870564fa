"""Few combinations of options that contain every two options of different groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence


def pairs(options: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Every two options of different groups: group → option."""
    return [
        {one: first, other: second}
        for one, other in itertools.combinations(options, 2)
        for first, second in itertools.product(options[one], options[other])
    ]


def covering(options: Mapping[str, Sequence[str]], fits: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
    """Combinations of an option of each group that contain every two which fit; each is chosen to contain many.

    Args:
        options: group → its options.
        fits: whether options of some groups, group → option, go together.
    """
    left = {frozenset(pair.items()): pair for pair in pairs(options) if fits(pair)}
    rows = []
    while left:
        row = dict(next(iter(left.values())))
        for group in [group for group in options if group not in row]:
            fitting = [option for option in options[group] if fits({**row, group: option})]
            new = [sum(frozenset({(group, option), had}) in left for had in row.items()) for option in fitting]
            row[group] = fitting[new.index(max(new))]
        rows.append(row)
        for pair in itertools.combinations(row.items(), 2):
            left.pop(frozenset(pair), None)
    return rows
