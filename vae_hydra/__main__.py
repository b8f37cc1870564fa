"""List the commands, or run one: ``python -m vae_hydra train sampler=normal``."""

from __future__ import annotations

import ast
import difflib
import pkgutil
import runpy
import sys
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent


def commands() -> dict[str, str]:
    """Command → its purpose: the first words of its module's docstring, read without importing it."""
    modules = (module for module in pkgutil.iter_modules([str(FOLDER)]) if not module.ispkg)
    names = [module.name for module in modules if not module.name.startswith("_")]
    texts = {name: (FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in names}
    return {name: str(ast.get_docstring(ast.parse(text))).partition(": ``")[0] for name, text in texts.items()}


def listing() -> str:
    """The text that lists the commands, a line each."""
    lines = [f"  vae-hydra {name:<10} {purpose}" for name, purpose in commands().items()]
    head = f"vae_hydra {version('vae_hydra')}: what does the choice of latent distribution do to a VAE?"
    foot = "vae-hydra COMMAND --help shows its options. python -m vae_hydra.COMMAND is the same command."
    return "\n".join([head, "", *lines, "", foot])


def main() -> None:
    """Run the command that is named, or list all; exit with 2 for one that does not exist."""
    # Imports Hydra's errors, which the list of commands does not need.
    from vae_hydra.base.command.pipes import ending_with_reader

    name, *words = sys.argv[1:] or ["--help"]
    with ending_with_reader():
        if name in ("-h", "--help"):
            print(listing())
        elif name == "--version":
            print(f"vae_hydra {version('vae_hydra')}")
        elif name in commands():
            sys.argv = [sys.argv[0], *words]
            # As ``python -m``: processes that Lightning and joblib start find the command as their main module.
            runpy.run_module(f"vae_hydra.{name}", run_name="__main__", alter_sys=True)
        else:
            near = difflib.get_close_matches(name, commands(), 1)
            advice = f"did you mean {near[0]}?" if near else "python -m vae_hydra lists them"
            print(f"error: there is no command {name}; {advice}", file=sys.stderr)
            raise SystemExit(2)


if __name__ == "__main__":
    main()
