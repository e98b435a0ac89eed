from __future__ import annotations

import copy
import hashlib
import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, ExponentialMovingAverage
from torch import nn

from addp_mm.checkpoints.weight_files import load_weights, save_weights
from addp_mm.models.layers import FrozenModule, cpu_has_bfloat16
from tests.helpers.tiny import (
    NUM_CODES,
    build_tiny_token_predictor,
    grid_of,
    save_tiny_weights,
    tiny_token_predictor_cfg,
    tiny_tokenizer_cfg,
)


class Owner(BaseModule):
    """A model with one trained and one frozen part."""

    def __init__(self, frozen: FrozenModule, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.trained = nn.Conv2d(3, 4, 1)
        self.frozen = frozen


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    return save_tiny_weights(tmp_path)


@pytest.fixture
def tokenizer(paths: dict[str, str]) -> FrozenModule:
    return FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'])


def frozen_predictor(path: str, **kwargs) -> FrozenModule:
    model = tiny_token_predictor_cfg(num_codes=NUM_CODES, grid_size=grid_of(), drop_rate=0.5)
    return FrozenModule(model, path, **kwargs)


def predict(frozen: FrozenModule) -> torch.Tensor:
    with frozen.running() as predictor:
        return predictor.predict_probs(torch.zeros(1, 4, 4, dtype=torch.long),
                                       torch.eye(4).bool()[None])


def test_its_owner_does_not_know_it(tokenizer: FrozenModule):
    owner = Owner(tokenizer)
    tokenizer.load()
    assert set(owner.state_dict()) == {'trained.weight', 'trained.bias'}
    assert len(list(owner.parameters())) == 2 and not list(owner.buffers())
    assert set(owner.modules()) == {owner, owner.trained, tokenizer}


def test_sizes_are_known_without_a_file(tmp_path: Path):
    frozen = FrozenModule(tiny_tokenizer_cfg(), str(tmp_path / 'none.pth'))
    assert frozen.description.num_codes == NUM_CODES and frozen.description.grid_size == (4, 4)
    assert all(p.is_meta for p in frozen.description.parameters()), 'memory for unread weights'


def test_first_use_reads_the_file_once(tokenizer: FrozenModule, paths: dict[str, str]):
    with tokenizer.running() as model:
        pass
    wanted = load_weights(paths['tokenizer'])
    state = model.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[k], v) for k, v in wanted.items())
    Path(paths['tokenizer']).unlink()
    with tokenizer.running() as again:
        assert again is model is tokenizer.description


def test_reads_a_part_of_a_checkpoint_and_half_precision(tmp_path: Path, paths: dict[str, str]):
    weights = load_weights(paths['tokenizer'])
    mixed = {f'tokenizer.{k}': v.half() for k, v in weights.items()}
    save_weights({**mixed, 'discriminator.weight': torch.ones(2)}, tmp_path / 'training.pth')
    frozen = FrozenModule(tiny_tokenizer_cfg(), str(tmp_path / 'training.pth'))
    frozen.load()
    for name, value in frozen.description.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, weights[name], atol=2e-3, rtol=2e-3)


def test_no_gradient(tokenizer: FrozenModule):
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    with tokenizer.running() as model:
        out = model.encoder(images)
    assert not out.requires_grad
    assert not any(p.requires_grad for p in tokenizer.description.parameters())
    assert torch.is_grad_enabled()


def test_stays_in_eval_while_its_owner_trains(paths: dict[str, str]):
    owner = Owner(frozen_predictor(paths['token_predictor'])).train()
    first, second = predict(owner.frozen), predict(owner.frozen)
    assert torch.equal(first, second)
    assert not any(m.training for m in owner.frozen.description.modules())


def test_dropout_follows_its_owner(paths: dict[str, str]):
    owner = Owner(frozen_predictor(paths['token_predictor'], dropout=True)).train()
    assert not torch.allclose(predict(owner.frozen), predict(owner.frozen))
    owner.eval()
    assert torch.equal(predict(owner.frozen), predict(owner.frozen))
    deterministic = frozen_predictor(paths['token_predictor'])
    assert torch.equal(predict(owner.frozen), predict(deterministic))
    owner.train()
    assert not torch.allclose(predict(owner.frozen), predict(owner.frozen))


def test_copies_share_the_weights(tokenizer: FrozenModule):
    owner = Owner(tokenizer).eval()
    twin = copy.deepcopy(owner)
    assert twin.frozen is not tokenizer
    assert twin.frozen.description is tokenizer.description
    assert (twin.frozen.checkpoint, twin.frozen.dtype, twin.frozen.dropout) == (
        tokenizer.checkpoint, tokenizer.dtype, tokenizer.dropout)
    assert not twin.frozen.training and twin.frozen.device == tokenizer.device
    assert twin.trained.weight is not owner.trained.weight
    twin.frozen.load()
    with tokenizer.running() as model:
        assert not next(model.parameters()).is_meta


def test_an_averaged_copy_leaves_it_alone(tokenizer: FrozenModule):
    tokenizer.load()
    before = tokenizer.description.quantize.embedding.weight.clone()
    owner = Owner(tokenizer)
    average = ExponentialMovingAverage(owner, momentum=0.5)
    average.update_parameters(owner)
    assert set(average.module.state_dict()) == {'trained.weight', 'trained.bias'}
    assert torch.equal(tokenizer.description.quantize.embedding.weight, before)


def test_start_values_of_its_owner_do_not_reach_it(tokenizer: FrozenModule):
    tokenizer.load()
    before = tokenizer.description.encoder.conv_in.weight.clone()
    owner = Owner(tokenizer, dict(type='Constant', layer='Conv2d', val=7.))
    owner.init_weights()
    assert float(owner.trained.weight.detach().min()) == 7
    assert torch.equal(tokenizer.description.encoder.conv_in.weight, before)


@pytest.mark.parametrize('load_first', [True, False])
def test_follows_the_device_of_its_owner(tokenizer: FrozenModule, load_first: bool):
    owner = Owner(tokenizer)
    if load_first:
        tokenizer.load()
    owner.to('meta')
    tokenizer.load()
    assert tokenizer.device.type == 'meta'
    assert all(p.is_meta for p in tokenizer.description.parameters())


@pytest.mark.gpu
def test_runs_on_the_gpu_of_its_owner(paths: dict[str, str], gpu: torch.device):
    owner = Owner(FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'], 'float16')).to(gpu)
    with owner.frozen.running() as model:
        latents = model.encoder(torch.rand(1, 3, 32, 32, device=gpu))
    assert latents.device.type == gpu.type
    assert latents.dtype == (HALF_ON_CPU if gpu.type == 'cpu' else torch.float16)
    owner.to('cpu')
    with owner.frozen.running() as model:
        assert model.encode(torch.rand(1, 3, 32, 32))[0].device.type == 'cpu'


def test_keeps_float32_weights(tokenizer: FrozenModule):
    owner = Owner(tokenizer)
    tokenizer.load()
    owner.half()
    assert owner.trained.weight.dtype == torch.float16
    assert all(p.dtype == torch.float32 for p in tokenizer.description.parameters())


HALF_ON_CPU = torch.bfloat16 if cpu_has_bfloat16() else torch.float32


@pytest.mark.parametrize(('dtype', 'on_cpu'), [
    ('bfloat16', torch.bfloat16), ('float16', HALF_ON_CPU), ('float32', torch.float32)
])
def test_runs_in_its_own_dtype(paths: dict[str, str], dtype: str, on_cpu: torch.dtype):
    frozen = FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'], dtype=dtype)
    images = torch.rand(1, 3, 32, 32)
    with frozen.running() as model:
        assert model.encoder(images).dtype == on_cpu
    assert model.encoder.conv_in.weight.dtype == on_cpu
    assert model.encoder.norm_out.weight.dtype == torch.float32
    assert model.quantize.embedding.weight.dtype == torch.float32
    assert not torch.is_autocast_enabled('cpu')


def test_weights_kept_in_its_dtype_give_what_autocast_gives(paths: dict[str, str]):
    plain, half = (FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'], dtype)
                   for dtype in ('float32', 'bfloat16'))
    images = torch.rand(2, 3, 32, 32)
    with plain.running() as model, torch.autocast('cpu', dtype=torch.bfloat16):
        wanted = model.encoder(images), model.decode_ids(torch.arange(16).view(1, 4, 4))
    with half.running() as model:
        out = model.encoder(images), model.decode_ids(torch.arange(16).view(1, 4, 4))
    assert all(map(torch.equal, out, wanted))


def test_weights_are_read_again_for_a_wider_dtype(paths: dict[str, str]):
    frozen = FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'], 'bfloat16')
    frozen.load()
    frozen.dtype = torch.float32
    with frozen.running() as model:
        wanted = load_weights(paths['tokenizer'])
        assert all(torch.equal(v, wanted[k]) for k, v in model.state_dict().items())
    frozen.dtype = torch.bfloat16
    with frozen.running() as model:
        assert model.encoder.conv_in.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(('dtype', 'tolerance'), [('float32', 1e-5), ('bfloat16', 3e-2)])
def test_channels_last(paths: dict[str, str], dtype: str, tolerance: float):
    plain, last = (FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'], dtype, channels_last=last)
                   for last in (False, True))
    images, outputs = torch.rand(2, 3, 32, 32), []
    for frozen in (plain, last):
        with frozen.running() as model:
            latents = model.encoder(images)
            outputs.append(torch.cat((latents.flatten(), model.decode(latents).flatten())))
    assert latents.is_contiguous(memory_format=torch.channels_last)
    scale = outputs[0].abs().max()
    assert (outputs[1] - outputs[0]).abs().max() < tolerance * scale


def test_compiles_each_part_once(paths: dict[str, str]):
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: list) -> Callable:
        graphs.append(graph)
        return graph.forward

    plain = FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'])
    frozen = FrozenModule(tiny_tokenizer_cfg(), paths['tokenizer'],
                          compile_cfg=dict(backend=backend))
    images = torch.rand(2, 3, 32, 32)
    for _ in range(3):
        with frozen.running() as model, plain.running() as reference:
            token_ids, latents = model.encode(images)
            assert torch.equal(token_ids, reference.encode(images)[0])
            assert torch.equal(model.decode(latents), reference.decode(latents))
    assert len(graphs) == 3, 'encoder, decoder and the look-up of codes'
    assert model.state_dict().keys() == reference.state_dict().keys()


def test_float32_survives_an_outer_autocast(tokenizer: FrozenModule):
    images = torch.rand(1, 3, 32, 32)
    with tokenizer.running() as model:
        wanted = model.encoder(images)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        with tokenizer.running() as model:
            out = model.encoder(images)
        assert torch.is_autocast_enabled('cpu'), 'the outer autocast is lost'
    assert torch.equal(out, wanted)


def test_hash_of_the_file(tokenizer: FrozenModule, paths: dict[str, str]):
    content = Path(paths['tokenizer']).read_bytes()
    assert tokenizer.sha256 == hashlib.sha256(content).hexdigest()


def test_what_it_prints(tokenizer: FrozenModule, paths: dict[str, str]):
    assert f"VQGAN, checkpoint={paths['tokenizer']}, torch.float32" in repr(Owner(tokenizer))


def test_unknown_dtype():
    with pytest.raises(ValueError, match="'bfloat16', 'float16', 'float32'.* got 'fp16'"):
        FrozenModule(tiny_tokenizer_cfg(), dtype='fp16')


def test_no_file_named():
    frozen = FrozenModule(tiny_tokenizer_cfg())
    for use in (frozen.load, lambda: frozen.sha256):
        with pytest.raises(ValueError, match='frozen VQGAN has no weights: set its `checkpoint`'):
            use()


def test_file_is_missing(tmp_path: Path):
    frozen = FrozenModule(tiny_tokenizer_cfg(), str(tmp_path / 'lost.pth'))
    with pytest.raises(FileNotFoundError, match=r'frozen VQGAN are not at .*lost\.pth'):
        frozen.load()


@pytest.mark.parametrize(('wrong', 'reason'), [
    (dict(channels=64), 'size mismatch'), (dict(num_codes=NUM_CODES + 1), 'embedding.weight'),
    (dict(num_res_blocks=2), 'are not in it: .*block.1'), (dict(code_dims=4), 'size mismatch')
])
def test_file_of_another_size(paths: dict[str, str], wrong: dict, reason: str):
    frozen = FrozenModule(tiny_tokenizer_cfg(**wrong), paths['tokenizer'])
    with pytest.raises(ValueError, match=rf'(?s)tiny_tokenizer\.pth does not fit the VQGAN of the '
                                         rf'config: .*{reason}'):
        frozen.load()


def test_file_of_another_model(paths: dict[str, str]):
    with pytest.raises(ValueError, match='does not fit the VQGAN'):
        FrozenModule(tiny_tokenizer_cfg(), paths['token_predictor']).load()


def test_file_with_other_content(tmp_path: Path):
    (tmp_path / 'page.pth').write_text('<html>404</html>')
    with pytest.raises(ValueError, match='web page'):
        FrozenModule(tiny_tokenizer_cfg(), str(tmp_path / 'page.pth')).load()


def test_a_failed_load_can_be_repeated(paths: dict[str, str], tmp_path: Path):
    frozen = FrozenModule(tiny_tokenizer_cfg(), paths['token_predictor'])
    with pytest.raises(ValueError, match='does not fit'):
        frozen.load()
    frozen.checkpoint = paths['tokenizer']
    frozen.load()
    assert not any(p.is_meta for p in frozen.description.parameters())


def test_position_tables_of_another_grid_are_resized(tmp_path: Path, paths: dict[str, str]):
    model = tiny_token_predictor_cfg(num_codes=NUM_CODES, grid_size=(4, 6))
    frozen = FrozenModule(model, paths['token_predictor'])
    frozen.load()
    assert frozen.description.pos_embed.shape == (1, 25, 32)
    torch.testing.assert_close(frozen.description.pos_embed[:, 0],
                               load_weights(paths['token_predictor'])['pos_embed'][:, 0])


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, text: lines.append(text))
    return lines


def noted(path: str, **model: object) -> str:
    """The weight file, with the config of the training that wrote it."""
    meta = dict(cfg=Config(dict(model=model)).pretty_text)
    torch.save(dict(state_dict=load_weights(path), meta=meta), path)
    return path


@pytest.mark.parametrize(('trained', 'now', 'said'), [
    (dict(norm=dict(type='LN2d')), {}, "norm.type 'LN2d', now 'none'"),
    (dict(shortcut='input'), {}, "shortcut 'input', now 'branch'"),
    ({}, dict(image_size=64), 'image_size 32, now 64'),
    (dict(shortcut='branch', patch_size=1, type='mmpretrain.VQGAN', num_codes=NUM_CODES), {}, '')])
def test_a_tokenizer_file_of_other_settings(paths: dict[str, str], warnings: list[str],
                                            trained: dict, now: dict, said: str):
    path = noted(paths['tokenizer'], type='VQGANTraining', tokenizer=tiny_tokenizer_cfg(**trained))
    frozen = FrozenModule(tiny_tokenizer_cfg(**now), path, dtype='bfloat16')
    for dtype in (torch.bfloat16, torch.float32):       # for which it is read again
        frozen.dtype = dtype
        with frozen.running():
            assert len(warnings) == bool(said)
    if said:
        assert warnings[0].startswith(f'{path} was trained with {said}. Its weights may')


def test_a_token_predictor_file_of_other_settings(paths: dict[str, str], warnings: list[str]):
    path = noted(paths['token_predictor'], type='MAGETraining',
                 data_preprocessor=dict(tokenizer=dict(model=tiny_tokenizer_cfg())),
                 token_predictor=tiny_token_predictor_cfg(drop_rate=0.2))
    frozen_predictor(path).load()
    assert not warnings, 'the sizes are those of the tokenizer, and dropout is of training'
    arch = dict(embed_dims=32, depth=2, num_heads=4)
    model = tiny_token_predictor_cfg(num_codes=NUM_CODES, grid_size=grid_of(), arch=arch)
    FrozenModule(model, path).load()
    assert len(warnings) == 1 and 'trained with arch.num_heads 2, now 4.' in warnings[0]


def test_weights_are_the_same_in_every_call(tmp_path: Path, paths: dict[str, str]):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = load_weights(save_tiny_weights(tmp_path)['token_predictor'])
    assert torch.equal(torch.get_rng_state(), state)
    assert again.keys() == build_tiny_token_predictor().state_dict().keys()
    first = load_weights(paths['token_predictor'])
    assert all(torch.equal(first[k], v) for k, v in again.items())


CPUINFO = Path('/proc/cpuinfo')


@pytest.mark.skipif(not CPUINFO.exists() or platform.machine() != 'x86_64',
                    reason='needs the list of an x86 processor\'s instructions')
def test_it_is_what_the_system_says():
    instructions = re.search(r'flags\s*: (.*)', CPUINFO.read_text()).group(1).split()
    assert cpu_has_bfloat16() == bool({'avx512_bf16', 'amx_bf16'} & set(instructions))
