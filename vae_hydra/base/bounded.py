"""Reading files that may come from anyone: files that are too large, too deep or no plain text are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

# Far above what a run writes: a configuration has 200 values, in 6 levels and 10 kB.
LARGEST_FILE = 16 * 2**20
LARGEST_YAML = 2**20
DEEPEST = 50
MOST_VALUES = 100_000
LONGEST_TEXT = 100_000
LARGEST_INTEGER = 2**63
# The parser's stack overflows at more than twice as many.
LEVELS = 1000
PLAIN = (str, bool, int, float, type(None), dict, list)


def read_text(path: Path, largest: int = LARGEST_FILE) -> str:
    """The text of a file.

    Raises:
        ValueError: if it is no file, larger than ``largest`` bytes or not UTF-8.
    """
    check_size(path, largest)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is damaged (it is not UTF-8 text: {error.reason})") from error


def check_size(path: Path, largest: int = LARGEST_FILE) -> None:
    """Raise ValueError if ``path`` is no file (a pipe might never end) or larger than ``largest`` bytes."""
    if not path.is_file():
        raise ValueError(f"{path.name} is missing, or no file")
    if path.stat().st_size > largest:
        raise ValueError(f"{path.name} is damaged (it has {path.stat().st_size:,} bytes; at most {largest:,} are read)")


def read_json(path: Path, largest: int = LARGEST_FILE, most: int = MOST_VALUES) -> Any:
    """The value in a JSON file of ``largest`` bytes and ``most`` values at most; ValueError for any other file."""
    text = read_text(path, largest)
    return checked(_parsed(json.loads, text, path.name), path.name, most)


def read_yaml(path: Path) -> Any:
    """The value in a YAML file; ValueError for a file that cannot be read within the limits."""
    return parse_yaml(read_text(path, LARGEST_YAML), path.name)


def parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML text, which messages call ``name``.

    Raises:
        ValueError: if it is no YAML, or exceeds the limits once its aliases are expanded.
    """
    # The parser in C reads the files of a large sweep in a fraction of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if _may_be_dangerous(text):
        problem = _parsed(lambda given: _problem_of_events(yaml.parse(given, loader)), text, name)
        if problem:
            raise ValueError(f"{name} is damaged (it {problem})")
    return checked(_parsed(lambda given: yaml.load(given, loader), text, name), name)


def _may_be_dangerous(text: str) -> bool:
    """Whether a YAML text may hold aliases, or more than ``LEVELS`` levels: each takes a bracket or a column."""
    brackets = text.count("[") + text.count("{")
    return brackets > LEVELS or max(map(len, text.splitlines()), default=0) > LEVELS or ("*" in text and "&" in text)


def _problem_of_events(events: Iterable[Any]) -> str | None:
    """The danger in a stream of YAML, found before it is loaded; None if there is none.

    Deep levels overflow the parser's stack; merged aliases multiply while they are loaded.
    """
    depth, has_aliases, has_merges = 0, False, False
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return f"holds values nested more than {DEEPEST} deep"
        has_aliases |= isinstance(event, yaml.AliasEvent)
        if isinstance(event, yaml.ScalarEvent):
            has_merges |= event.value == "<<" or str(event.tag).endswith(":merge")
    return "merges groups by aliases, which no run writes" if has_aliases and has_merges else None


def _parsed(parse: Callable[[str], Any], text: str, name: str) -> Any:
    try:
        return parse(text)
    except RecursionError as error:
        raise ValueError(f"{name} is damaged (its values are nested too deep)") from error
    except (ValueError, yaml.YAMLError) as error:
        # Also for a number with more digits than Python converts.
        reason = str(error).replace("\n", " ")[:300]
        raise ValueError(f"{name} is damaged ({reason})") from error


def checked(value: Any, name: str, most: int = MOST_VALUES) -> Any:
    """``value`` if it consists of plain values within the limits; an alias counts wherever it stands.

    Raises:
        ValueError: if it does not; the message calls it ``name``.
    """
    left, count = [(value, 0)], 0
    while left:
        node, depth = left.pop()
        count += 1
        problem = _problem(node, depth, count, most)
        if problem:
            raise ValueError(f"{name} is damaged (it holds {problem})")
        children = [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else ()
        left.extend((child, depth + 1) for child in children)
    return value


def _problem(node: Any, depth: int, count: int, most: int) -> str | None:
    if type(node) not in PLAIN:
        return f"a value of the kind {type(node).__name__}; only text, numbers, lists and groups are read"
    if depth > DEEPEST:
        return f"values nested more than {DEEPEST} deep"
    if count > most:
        return f"more than {most:,} values"
    if type(node) is int and not -LARGEST_INTEGER <= node < LARGEST_INTEGER:
        return "an integer that is too large for 64 bits"
    return _problem_of_text(node) if type(node) is str else None


def _problem_of_text(text: str) -> str | None:
    if len(text) > LONGEST_TEXT:
        return f"a text of {len(text):,} characters"
    return None if text.isascii() or is_unicode(text) else "text that is not Unicode"


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be encoded; halves of surrogate pairs cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(name: str) -> str:
    """The name of a file as text that can be encoded: bytes that are not UTF-8 become question marks."""
    return name.encode("utf-8", "replace").decode()
