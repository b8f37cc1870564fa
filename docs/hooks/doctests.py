"""Griffe's extension: doctests of docstrings become blocks of code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

DOCTEST = re.compile(r"^( *)>>> .*\n?(?:\1\S.*\n?)*", re.MULTILINE)


def fenced(docstring: str) -> str:
    """The docstring with each doctest in a fence."""
    return DOCTEST.sub(lambda match: f"{match[1]}```pycon\n{match[0].rstrip()}\n{match[1]}```\n", docstring)


class Doctests(Extension):
    """Changes the docstring of every object."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Fence the doctests of one object."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
