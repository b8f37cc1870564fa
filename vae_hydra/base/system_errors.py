"""Errors of the machine (space, permission, memory) as a message with a remedy."""

from __future__ import annotations

import errno
import os

FULL = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
}
TOO_LARGE = {errno.EFBIG: "a file would be larger than is allowed there"}
READ_ONLY = {errno.EROFS: "the file system is read-only"}
FORBIDDEN = {errno.EACCES: "permission is denied", errno.EPERM: "permission is denied"}
OPEN_FILES = {errno.EMFILE: "too many files are open", errno.ENFILE: "too many files are open"}
# A message of pathlib.
NO_HOME = "Could not determine home directory"


def explained(error: BaseException, output: str | None = None) -> str | None:
    """An error of the machine in one line: the path, the reason, what to do. None for any other error.

    Args:
        error: any exception.
        output: the option for the command's output; None if it writes nothing.
    """
    if is_out_of_memory(error):
        return f"there is not enough memory ({first_line(error)}); ask for fewer examples, latents or layers at a time"
    if isinstance(error, RuntimeError) and str(error).startswith(NO_HOME):
        return "a path begins with ~NAME, but this machine has no user of that name; write the folder out"
    # Libraries derive errors of their own from OSError, without a number.
    if not isinstance(error, OSError) or error.errno is None:
        return None
    place = "" if error.filename is None else f"{os.fspath(error.filename)}: "
    return place + reason(error, output)


def reason(error: OSError, output: str | None = None) -> str:
    """The reason for a system's error, and a remedy; ``output`` as for ``explained``."""
    number = error.errno or 0
    elsewhere = f"add {output}=FOLDER to write elsewhere" if output else ""
    if number in FULL:
        return f"{FULL[number]}; {_either('free some', elsewhere)}"
    if number in TOO_LARGE:
        return f"{TOO_LARGE[number]}; {_either('raise the limit with ulimit -f', elsewhere)}"
    if number in READ_ONLY:
        return f"{READ_ONLY[number]}; {elsewhere or 'make it writable'}"
    if number in FORBIDDEN:
        return f"{FORBIDDEN[number]}; {_either('check who may read and write it', elsewhere)}"
    if number in OPEN_FILES:
        return f"{OPEN_FILES[number]}; raise the limit with ulimit -n"
    return f"{_lower_first(error.strerror or os.strerror(number))}; {_either('check the path', elsewhere)}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or torch could not allocate memory."""
    # By name and message: importing torch to know its class would slow down every error.
    name, message = type(error).__name__, str(error)
    of_torch = name == "OutOfMemoryError" or (name == "RuntimeError" and "DefaultCPUAllocator" in message)
    return of_torch or isinstance(error, MemoryError)


def _either(first: str, second: str) -> str:
    return f"{first}, or {second}" if second else first


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
