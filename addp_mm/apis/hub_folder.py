"""What has a folder that can be handed on: written, read, and sent to the Hugging Face hub."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download

from .shared_folder import CONFIG, check_own_folder


class HubFolder(ModelHubMixin):
    """huggingface_hub's ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``.

    ``from_pretrained`` takes a folder or the name of a repository on the hub.
    """

    def save_pretrained(self, save_directory: str | Path, *,
                        model_card_kwargs: dict[str, Any] | None = None,
                        **kwargs: Any) -> str | None:
        """Write the folder, with a model card.

        Args:
            save_directory: A new or empty folder, or one that holds an earlier model.
            model_card_kwargs: Parameters of :func:`model_card`: ``license``, ``scores``...
            **kwargs: Of huggingface_hub: ``push_to_hub``, ``repo_id``...

        Raises:
            FileNotFoundError: If the weights of a frozen part are not there.
            ValueError: If the folder holds something else.
        """
        check_own_folder(Path(save_directory))
        about = dict(name=str(save_directory)) | (model_card_kwargs or {})
        return super().save_pretrained(save_directory, model_card_kwargs=about, **kwargs)

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: dict[str, Any] | None = None,
                    **kwargs: Any) -> str:
        """Send the folder to a repository of the hub, which is made if it is not there.

        Args:
            repo_id: ``USER/NAME``.
            model_card_kwargs: See :meth:`save_pretrained`.
            **kwargs: Of huggingface_hub: ``private``, ``token``, ``commit_message``...

        Returns:
            The address of the commit.
        """
        about = dict(name=repo_id) | (model_card_kwargs or {})
        return super().push_to_hub(repo_id, model_card_kwargs=about, **kwargs)


def folder_of(model_id: str, **options: Any) -> Path:
    """A folder as it is, or the files of a repository in the hub's cache.

    Args:
        model_id: The folder or the repository.
        **options: Of ``hf_hub_download``.
    """
    if Path(model_id).is_dir():
        return Path(model_id)
    folder = Path(hf_hub_download(model_id, CONFIG, **options)).parent
    record = json.loads((folder / CONFIG).read_text(encoding='utf-8'))
    for file in record.get('files', {}):
        hf_hub_download(model_id, file, **{**options, 'revision': folder.name})     # one commit
    return folder
