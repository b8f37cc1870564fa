"""Messages of Hydra about a command line, in the words of its user."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path

from vae_hydra.base.command.configuration import config_folder


def plain_words(message: str) -> str:
    """A message about an option that cannot be found or read, and what to type; any other message as it is."""
    for pattern, explained in _EXPLAINED.items():
        if found := re.search(pattern, message):
            return explained(found, message)
    return message


def of_an_option_not_chosen(path: str) -> str | None:
    """A message about ``logger.wandb.offline`` without ``logger=wandb``; None for other paths.

    Hydra's advice to add it would leave it without a logger.
    """
    group, _, rest = path.partition(".")
    choice = rest.partition(".")[0]
    return f"{path}: there is no such option; it belongs to {group}={choice}" if choice in _choices(group) else None


def _no_such_choice(found: re.Match[str], message: str) -> str:
    # Groups of Hydra's own lie in one another.
    group, _, choice = found[1].rpartition("/") if found[1].startswith("hydra/") else found[1].partition("/")
    listed = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)+)", message)
    of_user = listed[1].split() if listed and "/" not in choice else []
    names = sorted({*_choices(group), *(name for name in of_user if not name.startswith("_"))})
    if not names:
        return message
    near = difflib.get_close_matches(choice, names, 1)
    advice = f"; did you mean {group}={near[0]}?" if near else ""
    # Of folders of their own, the user may want to know where Hydra looked.
    searched = message[message.find("Config search path") :] if "provider=command-line" in message else ""
    lines = [f"{group}={choice}: there is no such option{advice}", f"{group}= has {', '.join(names)}", searched]
    return "\n".join(filter(None, lines))


def _choices(group: str) -> list[str]:
    folder = config_folder() / group
    return [file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("[!_]*.yaml")]


def _no_choice_of_a_group(found: re.Match[str], message: str) -> str:
    return "a group of options takes a name, or a list of them, as in logger=csv and 'logger=[csv,wandb]', but got null"


def _not_of_this_command(found: re.Match[str], message: str) -> str:
    return f"{found[1]}: this command has no such option. (A saved run keeps the options that it was trained with.)"


def _not_a_pair(found: re.Match[str], message: str) -> str:
    word = found[1]
    if (Path(word).expanduser() / "run.json").is_file():
        return f"{word}: an option has a name; did you mean run={word}?"
    return f"{word}: an option is written NAME=VALUE; --help shows those of this command"


def _missing(found: re.Match[str], message: str) -> str:
    example = "run=outputs/RUN" if found[1] == "run" else f"{found[1]}=…"
    return f"{found[1]} is missing; give {example}"


_EXPLAINED: dict[str, Callable[[re.Match[str], str], str]] = {
    r"Could not find '([\w-]+/[^']+)'": _no_such_choice,
    r"Could not load '([\w-]+/[^']+)'": _no_such_choice,
    r"Config group override must be a string or a list. Got NoneType": _no_choice_of_a_group,
    r"Could not override '([^']+)'\. No match in the defaults list": _not_of_this_command,
    r"Error parsing override '([^='+~]+)'\n": _not_a_pair,
    r"^Missing mandatory value: (\S+)": _missing,
}
