"""The names of released files."""
from __future__ import annotations

from pathlib import Path

import pytest

from addp_mm.apis import list_models
from addp_mm.apis.model_source import find_shipped
from addp_mm.checkpoints.converters import KINDS
from addp_mm.checkpoints.releases import RELEASES, find_release, release_name


def test_names() -> None:
    assert find_release('addp://vit-l') is find_release('addp_vit-l_800e')
    assert find_release('addp://mage_vit-b_1600e').file == 'mage-vitb-1600.pth'
    assert release_name(Path('addp://vit-l')) == 'vit-l'
    assert release_name('checkpoints/x.pth') is None


@pytest.mark.parametrize('name, near', [('addp_vit-l', 'addp_vit-l_800e'), ('vit_b', 'vit-b'),
                                        ('#', 'vqgan_256')])
def test_an_unknown_name_lists_the_near_ones(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f'no released model {name!r}.*{near}'):
        find_release(name)


def test_every_release_can_be_used() -> None:
    names = [name for release in RELEASES for name in (release.name, release.short)]
    assert len(set(names)) == len(names)
    for release in RELEASES:
        assert release.kind in KINDS and bool(release.hub) != bool(release.url)
        for part in filter(None, (release.tokenizer, release.token_predictor)):
            assert find_release(part).config
        metafile = find_shipped(release.config).parent / 'metafile.yml'
        entry = metafile.read_text().split(f'- Name: {release.name}\n')[1].split('  - Name: ')[0]
        assert f'Config: {release.config}' in entry and f'Weights: {release.file}' in entry


def test_list_models() -> None:
    assert list_models() == ['addp_vit-b_1600e', 'addp_vit-l_800e', 'mage_vit-b_1600e',
                             'mage_vit-l_1600e']
    assert list_models('addp*-l*') == ['addp_vit-l_800e']
