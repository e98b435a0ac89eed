"""The index of configs: mim and mmpretrain find them, and no number looks like one of ours."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmpretrain import list_models
from mmpretrain.apis import ModelHub

ROOT = Path(__file__).resolve().parents[2]
METAFILES = sorted(ROOT.glob('configs/*/metafile.yml'))
MODELS = [model for file in METAFILES for model in yaml.safe_load(file.read_text())['Models']]
DOCS = [ROOT / 'docs' / name for name in ('model_zoo.md', 'robustness.md')]


def test_all_metafiles_are_imported():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert sorted(index['Import']) == [str(path.relative_to(ROOT)) for path in METAFILES]
    assert {'addp', 'mage', 'mmdet', 'mmseg', 'vqgan'} <= {path.parent.name for path in METAFILES}


@pytest.mark.parametrize('model', MODELS, ids=[model['Name'] for model in MODELS])
def test_entry(model: dict):
    assert (ROOT / model['Config']).is_file()
    assert model['Name'] == model['Name'].lower(), 'the hub looks names up in lower case'
    if model['Results']:
        by = model['Metadata']['Reported By']
        assert 'arXiv' in by and 'not measured with this code' in by
    assert 'Weights' not in model, 'there are none to download'
    names = {other['Name'] for other in MODELS}
    assert names >= set(model.get('Downstream', []))


def test_trainings_are_listed_once():
    listed = [model['Config'] for model in MODELS]
    assert len(set(listed)) == len(listed) and len({m['Name'] for m in MODELS}) == len(MODELS)
    wanted = {str(path.relative_to(ROOT)) for folder in (
        'addp', 'addp/ablations', 'mage', 'mage/benchmarks', 'mmdet', 'mmseg',
        'vqgan')
        for path in (ROOT / 'configs' / folder).glob('*.py')}
    assert wanted <= set(listed)


def test_mmpretrains_hub_finds_them(monkeypatch: pytest.MonkeyPatch):
    ModelHub._register_mmpretrain_models()
    monkeypatch.setattr(ModelHub, '_models_dict', dict(ModelHub._models_dict))
    ModelHub.register_model_index(ROOT / 'model-index.yml', config_prefix=ROOT)
    assert {model['Name'] for model in MODELS} <= set(list_models())
    assert 'addp_vit-l_finetune_50e' in list_models('addp', task='Image Classification')
    found = ModelHub.get('addp_vit-b_finetune_100e')
    assert isinstance(found.config, Config)
    assert found.config.model.type == 'ImageClassifier'
    assert found.results[0].metrics == {'Top 1 Accuracy': 83.9}


def test_epochs_are_those_of_the_configs():
    for model in MODELS:
        epochs = model['Metadata'].get('Epochs')
        if epochs:
            cfg = Config.fromfile(ROOT / model['Config'], import_custom_modules=False)
            assert cfg.train_cfg.max_epochs == epochs, model['Name']


@pytest.mark.parametrize('page', DOCS, ids=lambda page: page.name)
def test_pages_name_files_that_exist(page: Path):
    text = page.read_text(encoding='utf-8')
    paths = re.findall(r'(?:configs|tools)/[\w/.-]+\.py', text)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
