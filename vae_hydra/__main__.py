"""List the commands: ``python -m vae_hydra``."""

from __future__ import annotations

import ast
import pkgutil
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def commands() -> dict[str, str]:
    """Command → its purpose: the first words of its module's docstring, read without importing it."""
    modules = (module for module in pkgutil.iter_modules([str(FOLDER)]) if not module.ispkg)
    names = [module.name for module in modules if not module.name.startswith("_")]
    texts = {name: (FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in names}
    return {name: str(ast.get_docstring(ast.parse(text))).partition(": ``")[0] for name, text in texts.items()}


def main() -> None:
    """Print the commands; exit with 2 if one was given here instead of after a dot."""
    found = commands()
    lines = [f"  python -m vae_hydra.{name:<10} {purpose}" for name, purpose in found.items()]
    print("\n".join(["Commands of vae_hydra:", "", *lines, "", "Add --help to a command to see its options."]))
    given = sys.argv[1:2]
    if given and given[0] not in ("-h", "--help"):
        name = given[0] if given[0] in found else "COMMAND"
        print(f"error: start a command with a dot: python -m vae_hydra.{name}", file=sys.stderr)
        raise SystemExit(2)


if __name__ == "__main__":
    main()
