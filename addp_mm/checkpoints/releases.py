"""The files that the authors of ADDP and MAGE released, by name."""
from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

SCHEME = 'addp://'
_DRIVE = 'https://drive.usercontent.google.com/download?export=download&confirm=t&id='


@dataclass(frozen=True)
class Release:
    """A released file.

    Args:
        name: That of its config in the metafiles, ``addp_vit-l_800e``.
        short: What may be written in its place, ``vit-l``.
        file: Name of the file.
        kind: What it is for :func:`addp_mm.checkpoints.converters.convert`.
        config: Its config, from the folder that holds ``configs``.
        licence: What its authors allow.
        hub: Repository on the Hugging Face hub that has it; or ...
        url: ... its address.
        tokenizer: Name of the tokenizer that a model works with; '' for one that is no such model.
        token_predictor: Name of the token predictor that it was trained with.
        sha256: Hash of the file, where it is known.
    """
    name: str
    short: str
    file: str
    kind: str
    config: str
    licence: str
    hub: str = ''
    url: str = ''
    tokenizer: str = ''
    token_predictor: str = ''
    sha256: str | None = None


_ADDP = dict(kind='reference', hub='Changyao/ADDP', tokenizer='vqgan',
             licence='CC-BY-NC-4.0 (README and model card of the release: Apache-2.0)')
_MAGE = dict(kind='mage', tokenizer='vqgan', licence='MIT')
# The sources are the READMEs of github.com/ChangyaoTian/ADDP and github.com/LTH14/mage.
RELEASES = (
    Release('addp_vit-b_1600e', 'vit-b', 'addp-vit-base-16.pth', **_ADDP,
            config='configs/addp/vit-b_1600e.py', token_predictor='mage-b'),
    Release('addp_vit-l_800e', 'vit-l', 'addp-vit-large-16.pth', **_ADDP,
            config='configs/addp/vit-l_800e.py', token_predictor='mage-l'),
    Release('mage_vit-b_1600e', 'mage-b', 'mage-vitb-1600.pth', **_MAGE,
            config='configs/mage/mage_vit-b_1600e.py',
            url=f'{_DRIVE}1Q6tbt3vF0bSrv5sPrjpFu8ksG3vTsVX2'),
    Release('mage_vit-l_1600e', 'mage-l', 'mage-vitl-1600.pth', **_MAGE,
            config='configs/mage/mage_vit-l_1600e.py',
            url=f'{_DRIVE}15xBPa8EIa0IRUiRYtXiYOC9JZVyMIFrB'),
    Release('vqgan_256', 'vqgan', 'vqgan_jax_strongaug.ckpt', kind='vqgan', licence='MIT',
            config='configs/vqgan/vqgan_256.py',
            url=f'{_DRIVE}13S_unB87n6KKuuMdyMnyExW0G1kplTbP'),
)


def find_release(name: str) -> Release:
    """The released file of a name, long or short, with or without ``addp://``.

    Raises:
        ValueError: If there is none; the near names are in the message, or all.
    """
    name = release_name(name) or name
    by_name = {key: release for release in RELEASES for key in (release.short, release.name)}
    if name not in by_name:
        near = get_close_matches(name, by_name, 3, 0.4) or sorted(by_name)
        raise ValueError(f'There is no released model {name!r}, nor a config file of that name. '
                         f'Near it are {", ".join(near)}.')
    return by_name[name]


def release_name(path: str | Path) -> str | None:
    """The name behind ``addp://``, of which a :class:`Path` leaves one stroke; None without it."""
    found = re.fullmatch(r'addp:/{1,2}(.+)', str(path))
    return found.group(1) if found else None


def list_models(pattern: str = '*') -> list[str]:
    """Names of the released models that generate images, for :class:`ADDPInferencer`.

    Args:
        pattern: What the names look like, '*' for any characters.
    """
    return [release.name for release in RELEASES
            if release.tokenizer and fnmatchcase(release.name, pattern)]
