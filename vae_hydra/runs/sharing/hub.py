"""Models on the Hugging Face Hub: an export is uploaded, and loaded without running code of a stranger."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_hydra.base.system_errors import first_line
from vae_hydra.runs.sharing.weights import CONFIG, WEIGHTS

PREFIX = "hf://"
# Packages whose errors are about the Hub or the network; which one huggingface_hub uses depends on its version.
RAISING = ("huggingface_hub", "httpx", "httpx2", "requests")
NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def download(address: str) -> Path:
    """The folder with weights and configuration of a model on the Hub, kept in the Hub's own cache.

    Args:
        address: ``hf://OWNER/NAME``, or ``hf://OWNER/NAME@REVISION`` for a branch, a tag or a commit.

    Raises:
        ValueError: without huggingface_hub, for an address that is none, or if the model cannot be fetched.
    """
    match = NAME.fullmatch(address.removeprefix(PREFIX))
    if match is None:
        raise ValueError(f"{address} is no address on the Hub; write hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    with _explained(f"{address} cannot be fetched"):
        from huggingface_hub import snapshot_download

        fetched = snapshot_download(
            match["repository"], revision=match["revision"], allow_patterns=[WEIGHTS, CONFIG], library_name="vae_hydra"
        )
    folder = Path(str(fetched))
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"{address} was not written by vae_hydra: it has no {WEIGHTS}")
    return folder


def upload(folder: Path, repository: str, private: bool = False) -> str:
    """Upload the files of an export to a model repository, which is made if there is none; return the commit's address.

    The user's own token is used, as ``hf auth login`` or ``HF_TOKEN`` gives it.

    Raises:
        ValueError: without huggingface_hub, for a name that is none, or if the Hub refuses the upload.
    """
    check_repository(repository)
    with _explained(f"{repository} cannot be written"):
        from huggingface_hub import HfApi

        hub = HfApi(library_name="vae_hydra")
        hub.create_repo(repository, private=private, exist_ok=True)
        message = f"A model of vae_hydra: {folder.name}"
        return str(hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=message).commit_url)


def check_repository(repository: str) -> None:
    """Raise ValueError without huggingface_hub, and for a name other than OWNER/NAME."""
    match = NAME.fullmatch(repository) if isinstance(repository, str) else None
    if match is None or match["revision"]:
        raise ValueError(f"a model's name on the Hub must be OWNER/NAME, but got {repository!r}")
    _check_installed()


def _check_installed() -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError("the Hub needs huggingface_hub: pip install 'vae_hydra[hub]'")


@contextmanager
def _explained(failure: str) -> Iterator[None]:
    """Turn errors of the Hub and of the network into a ValueError that begins with ``failure``."""
    _check_installed()
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in RAISING:
            raise
        raise ValueError(f"{failure}: {first_line(error)}") from error
