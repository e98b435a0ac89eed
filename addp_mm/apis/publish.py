"""Sends a folder to the Hugging Face hub, and reads the scores that stand in its card."""
from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def read_scores(paths: Iterable[str | Path]) -> dict[str, float]:
    """The scores of JSON files by their names.

    Args:
        paths: Files of numbers by name, or with such under 'scores', as ``evaluate_generation.py``
            writes them.

    Raises:
        ValueError: If a file holds something else.
    """
    scores: dict[str, float] = {}
    for path in paths:
        try:
            content = json.loads(Path(path).read_text(encoding='utf-8'))
            content = content.get('scores', content)
            scores |= {str(name): float(value) for name, value in content.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f'{path} holds no scores: expected JSON with numbers by name, or such '
                             f'under "scores" ({error}).') from error
    return scores


def upload_folder(folder: str | Path, repo: str, private: bool = False) -> str:
    """Send a folder to a repository of the hub, which is made if it is not there.

    Args:
        folder: The folder.
        repo: ``USER/NAME``.
        private: Nobody else sees a new repository.

    Returns:
        The address of the commit.

    Raises:
        ConnectionError: If that fails. The folder stays as it is.
    """
    from huggingface_hub import HfApi
    api = HfApi()
    try:
        repo_id = api.create_repo(repo, private=private or None, exist_ok=True).repo_id
        return str(api.upload_folder(repo_id=repo_id, folder_path=str(folder),
                                     commit_message='Written by publish.py of addp_mm'))
    except Exception as error:              # of whichever library huggingface_hub connects with
        reason = ' '.join(str(error).split())[:300]
        raise ConnectionError(
            f'{folder} is whole, but could not be sent to {repo} ({reason}). Log in with `hf auth '
            f'login`, then send it with `hf upload {repo} {folder}`.') from error
