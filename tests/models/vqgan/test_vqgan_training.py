from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import BaseDataset
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor

from addp_mm.checkpoints.weight_files import load_weights
from addp_mm.engine.optim_wrappers import JointOptimWrapperConstructor
from addp_mm.models.layers import FrozenModule
from addp_mm.models.vqgan import VQGANTraining
from addp_mm.models.vqgan.vqgan_training import TO_UNIT_RANGE
from addp_mm.registry import DATASETS
from tests.helpers.tiny import CODE_DIMS, NUM_CODES, build_model, tiny_batch, tiny_tokenizer_cfg

DISCRIMINATOR = dict(type='PatchDiscriminator', channels=8, num_layers=2)


def build(**overrides: Any) -> VQGANTraining:
    cfg = dict(type='VQGANTraining', tokenizer=tiny_tokenizer_cfg(),
               codebook=dict(init_from_data=True))
    return build_model(cfg | overrides)


def build_adversarial(start: int = 0, **overrides: Any) -> VQGANTraining:
    return build(discriminator=DISCRIMINATOR,
                 adversarial_loss=dict(type='AdversarialLoss', start=start), **overrides)


def joint_wrapper(model: VQGANTraining, lr: float = 1e-3):
    part = dict(optimizer=dict(type='SGD', lr=lr))
    return JointOptimWrapperConstructor(dict(tokenizer=part, discriminator=part))(model)


def parameters_of(module: torch.nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def images_of(batch: dict) -> Tensor:
    return batch['inputs'].flip(1) / 255


def test_losses_by_hand():
    model = build(codebook=dict())
    images = images_of(tiny_batch())
    losses = model(images, mode='loss')
    assert losses.keys() == {'loss_pixel', 'loss_commitment', 'loss_codebook',
                             'codebook_perplexity', 'dead_codes'}
    latents = model.tokenizer.encoder(images)
    codes = model.tokenizer.encode(images)[1]
    torch.testing.assert_close(
        losses['loss_pixel'], (model.tokenizer.decode(codes) - images).abs().mean())
    distance = (latents - codes).square().mean()
    torch.testing.assert_close(losses['loss_codebook'], distance)
    torch.testing.assert_close(losses['loss_commitment'], 0.25 * distance)


def test_the_pixel_loss_reaches_the_encoder_through_the_codes():
    model = build()
    images = images_of(tiny_batch())
    model.loss(images)['loss_pixel'].backward()
    encoder, decoder = model.tokenizer.encoder, model.tokenizer.decoder
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
    assert decoder.conv_in.weight.grad.abs().sum() > 0
    assert model.tokenizer.quantize.embedding.weight.grad is None

    # The gradient at the latents is the one at the codes, as if nothing had been quantised.
    codes = model.tokenizer.encode(images)[1].detach().requires_grad_()
    loss = (model.tokenizer.decode(codes) - images).abs().mean()
    at_codes = torch.autograd.grad(loss, codes)[0]
    found = encoder.conv_out.bias.grad
    torch.testing.assert_close(found, at_codes.sum(dim=(0, 2, 3)), rtol=1e-4, atol=1e-7)


def test_codes_under_moving_averages_take_no_gradient_but_move():
    model = build(codebook=dict(ema_decay=0.5))
    weight = model.tokenizer.quantize.embedding.weight
    before = weight.detach().clone()
    losses = model.loss(images_of(tiny_batch()))
    assert 'loss_codebook' not in losses
    model.parse_losses(losses)[0].backward()
    assert weight.grad is None and not weight.requires_grad
    assert not torch.equal(weight, before)


@pytest.mark.parametrize('codebook', [dict(ema_decay=0.5, revive_after=1), dict(revive_after=1)])
def test_entropy_loss_goes_with_moving_and_revived_codes(codebook: dict):
    model = build(codebook=codebook, vq_loss=dict(type='VQLoss', entropy_weight=0.1))
    for _ in range(2):
        model.parse_losses(model.loss(images_of(tiny_batch())))[0].backward()


def test_validation_leaves_the_codebook_alone():
    model = build(codebook=dict(ema_decay=0.5, revive_after=1))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.val_step(tiny_batch())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_predictions_are_reconstructions_and_tokens():
    model, batch = build(), tiny_batch()
    predictions = model.val_step(batch)
    images = images_of(batch)
    token_ids = model.tokenizer.encode(images)[0]
    assert len(predictions) == 2
    for n, prediction in enumerate(predictions):
        torch.testing.assert_close(prediction['image'], images[n])
        assert torch.equal(prediction['token_ids'], token_ids[n])
        assert prediction['num_codes'] == NUM_CODES
    reconstructions = torch.stack([p['reconstruction'] for p in predictions])
    torch.testing.assert_close(reconstructions, model.tokenizer.decode_ids(token_ids).clamp(0, 1))
    assert torch.equal(model(images), token_ids)


def test_training_improves_reconstructions():
    model = build(codebook=dict(ema_decay=0.9, revive_after=5, init_from_data=True))
    batch = tiny_batch(4)
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=3e-3))
    losses = [model.train_step(batch, wrapper)['loss_pixel'].item() for _ in range(25)]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_the_joint_step_moves_each_network_by_its_own_gradient():
    model = build_adversarial()
    batch, lr = tiny_batch(), 1e-2
    tokenizer, discriminator = parameters_of(model.tokenizer), parameters_of(model.discriminator)
    images = images_of(batch)

    # Plain: both gradients taken one after the other, in a copy of the forward pass.
    latents = model.tokenizer.encoder(images)
    model.codebook_training._start(model.tokenizer.quantize,
                                   latents.detach().permute(0, 2, 3, 1).reshape(-1, CODE_DIMS))
    model.codebook_training.init_from_data = False
    tokenizer[-1] = model.tokenizer.quantize.embedding.weight.detach().clone()
    codes = model.tokenizer.quantize.lookup(model.tokenizer.quantize.assign(latents))
    fake = model.tokenizer.decode(latents + (codes - latents).detach())
    last = model.tokenizer.decoder.conv_out.weight
    pixel, game = (fake - images).abs().mean(), -model.discriminator(fake).mean()
    ratio = (torch.autograd.grad(pixel, last, retain_graph=True)[0].norm()
             / (torch.autograd.grad(game, last, retain_graph=True)[0].norm() + 1e-4))
    vq = F.mse_loss(codes, latents.detach()) + 0.25 * F.mse_loss(latents, codes.detach())
    of_tokenizer = torch.autograd.grad(pixel + 0.8 * ratio * game + vq,
                                       list(model.tokenizer.parameters()))
    hinge = 0.5 * (F.relu(1 - model.discriminator(images)).mean()
                   + F.relu(1 + model.discriminator(fake.detach())).mean())
    of_discriminator = torch.autograd.grad(hinge, list(model.discriminator.parameters()))

    model.train_step(batch, joint_wrapper(model, lr))
    for before, gradient, after in zip(tokenizer, of_tokenizer, model.tokenizer.parameters(),
                                       strict=True):
        torch.testing.assert_close(after, before - lr * gradient, rtol=1e-4, atol=1e-6)
    for before, gradient, after in zip(discriminator, of_discriminator,
                                       model.discriminator.parameters(), strict=True):
        torch.testing.assert_close(after, before - lr * gradient, rtol=1e-4, atol=1e-6)


def test_the_discriminator_waits_for_its_iteration():
    model = build_adversarial(start=5)
    wrapper, batch = joint_wrapper(model), tiny_batch()
    before, tokenizer = parameters_of(model.discriminator), parameters_of(model.tokenizer)
    MessageHub.get_current_instance().update_info('iter', 4)
    log_vars = model.train_step(batch, wrapper)
    assert log_vars['loss_discriminator'] == log_vars['loss_adversarial'] == 0
    assert all(map(torch.equal, before, model.discriminator.parameters()))
    assert not all(map(torch.equal, tokenizer, model.tokenizer.parameters()))
    MessageHub.get_current_instance().update_info('iter', 5)
    log_vars = model.train_step(batch, wrapper)
    assert log_vars['loss_discriminator'] > 0 and log_vars['adaptive_weight'] > 0
    assert not all(map(torch.equal, before, model.discriminator.parameters()))


def mixed_precision_step(device: str, **kwargs: Any) -> dict[str, Tensor]:
    model = build_adversarial(vq_loss=dict(type='VQLoss', entropy_weight=0.1)).to(device)
    part = dict(type='PortableAmpOptimWrapper', optimizer=dict(type='SGD', lr=1e-3), **kwargs)
    init_default_scope('mmpretrain')
    wrapper = JointOptimWrapperConstructor(dict(tokenizer=part, discriminator=part))(model)
    return model.train_step(tiny_batch(), wrapper)


@pytest.mark.skipif(torch.cuda.is_available(), reason='tests what happens without a GPU')
def test_a_step_in_bfloat16_is_close_to_one_in_float32():
    torch.manual_seed(0)
    wanted = mixed_precision_step('cpu')
    torch.manual_seed(0)
    found = mixed_precision_step('cpu', cpu_dtype='bfloat16')
    for name, value in wanted.items():
        if 'loss' in name:
            torch.testing.assert_close(found[name], value, rtol=0.1, atol=0.01, msg=name)
    assert found['loss_pixel'] != wanted['loss_pixel']


def test_the_logged_sum_is_that_of_the_tokenizer():
    model = build_adversarial()
    losses = model.loss(images_of(tiny_batch()))
    sums, log_vars = model.parse_losses(losses)
    own = [v for k, v in losses.items() if k.startswith('loss_') and k != 'loss_discriminator']
    torch.testing.assert_close(sums['tokenizer'], sum(own))
    torch.testing.assert_close(log_vars['loss'], sum(own))
    assert sums['discriminator'] is losses['loss_discriminator']
    assert {'codebook_perplexity', 'dead_codes', 'adaptive_weight'} <= log_vars.keys()


def test_a_missing_perceptual_network_is_left_out_where_allowed(tmp_path: Path):
    perceptual = dict(type='PerceptualLoss', weights=str(tmp_path / 'none.pth'))
    model = build(perceptual_loss=perceptual | dict(missing_ok=True))
    assert 'loss_perceptual' not in model.loss(images_of(tiny_batch()))
    with pytest.raises((FileNotFoundError, ImportError), match='perceptual loss'):
        build(perceptual_loss=perceptual)


def test_a_discriminator_needs_its_own_optimizer():
    model = build_adversarial()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match='JointOptimWrapperConstructor'):
        model.train_step(tiny_batch(), wrapper)


def test_wrong_inputs_are_named():
    model = build()
    with pytest.raises(ValueError, match=r'multiples of 8, got \(32, 36\)'):
        model.loss(torch.rand(1, 3, 32, 36))
    with pytest.raises(ValueError, match=r'images of \(32, 32\) pixels .* got \(32, 40\)'):
        model.loss(torch.rand(1, 3, 32, 40))
    with pytest.raises(ValueError, match='default_collate'):
        model([torch.rand(3, 32, 32)], mode='loss')
    with pytest.raises(ValueError, match="got 'losses'"):
        model(torch.rand(1, 3, 32, 32), mode='losses')


@DATASETS.register_module()
class SmoothColours(BaseDataset):
    """Eight images that a tokenizer learns quickly."""

    def load_data_list(self) -> list[dict]:
        images = tiny_batch(8)['inputs'].permute(0, 2, 3, 1)
        return [dict(img=image) for image in images.numpy()]


@pytest.mark.parametrize('step', ['train_step', 'val_step'])
@pytest.mark.parametrize('mean, std, scale', [
    ([123.7, 116.3, 103.5], [58.4, 57.1, 57.4], 1), ([0] * 3, [255] * 3, 1 / 255),
    ([0] * 3, [1] * 3, 1)])
def test_another_range_is_refused(step: str, mean: list, std: list, scale: float):
    model = build(data_preprocessor=dict(TO_UNIT_RANGE, mean=mean, std=std))
    batch = tiny_batch()
    batch['inputs'] = batch['inputs'] * scale
    options = (OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)), ) * (step == 'train_step')
    with pytest.raises(ValueError, match=r'Expected pictures of RGB in \[0, 1\], got .* std=\[255'):
        getattr(model, step)(batch, *options)


def test_another_order_of_colours_is_said(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, text: said.append(text))
    build(data_preprocessor=TO_UNIT_RANGE)
    assert not said
    build(data_preprocessor=dict(TO_UNIT_RANGE, to_rgb=False))
    assert len(said) == 1 and 'the tokenizer RGB' in said[0]


def test_a_tokenizer_of_a_file_is_trained_on(tmp_path: Path):
    trained = {k: v for k, v in build().state_dict().items() if k.startswith('tokenizer.')}
    torch.save(dict(state_dict=trained), tmp_path / 'tokenizer.pth')
    model = build(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'tokenizer.pth')))
    model.loss(images_of(tiny_batch()))
    assert torch.equal(model.tokenizer.quantize.embedding.weight,
                       trained['tokenizer.quantize.embedding.weight'])


def test_a_run_logs_validates_draws_and_leaves_a_tokenizer_to_freeze(tmp_path: Path):
    data = dict(type='SmoothColours', serialize_data=False,
                pipeline=[dict(type='PackInputs')])
    loader = dict(batch_size=4, num_workers=0, dataset=data,
                  sampler=dict(type='DefaultSampler', shuffle=False),
                  collate_fn=dict(type='default_collate'))
    part = dict(type='PortableAmpOptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
    runner = Runner(
        model=dict(type='VQGANTraining', tokenizer=tiny_tokenizer_cfg(),
                   codebook=dict(ema_decay=0.9), discriminator=DISCRIMINATOR,
                   adversarial_loss=dict(type='AdversarialLoss', start=1)),
        work_dir=str(tmp_path), experiment_name='vqgan', default_scope='mmpretrain',
        train_dataloader=loader, val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=1), val_cfg=dict(),
        optim_wrapper=dict(constructor='JointOptimWrapperConstructor', tokenizer=part,
                           discriminator=part),
        val_evaluator=[dict(type='ReconstructionQuality'), dict(type='CodebookUsage')],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[dict(type='ReconstructionGridHook'),
                      dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.1)],
        visualizer=dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]))
    runner.train()
    scalars = MessageHub.get_current_instance().log_scalars
    assert {'val/reconstruction/psnr', 'val/reconstruction/ssim', 'val/codebook/perplexity',
            'val/codebook/dead_codes', 'val/codebook/in_use', 'train/loss_pixel',
            'train/loss_adversarial', 'train/loss_discriminator', 'train/codebook_perplexity',
            'train/dead_codes', 'train/tokenizer.lr', 'train/discriminator.lr'} <= scalars.keys()
    assert scalars['train/loss_discriminator'].current() > 0
    assert len(list(tmp_path.rglob('vis_image/reconstructions_*.png'))) == 1

    checkpoint = tmp_path / 'epoch_1.pth'
    frozen = FrozenModule(tiny_tokenizer_cfg(), str(checkpoint))
    images = images_of(tiny_batch())
    with frozen.running() as tokenizer:
        found = tokenizer.encode(images)[1]
    stored = load_weights(checkpoint)
    runner.model.load_state_dict(stored)
    torch.testing.assert_close(found, runner.model.tokenizer.encode(images)[1])
