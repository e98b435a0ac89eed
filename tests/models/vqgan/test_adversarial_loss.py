from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from addp_mm.models.vqgan import AdversarialLoss, PatchDiscriminator
from addp_mm.models.vqgan.adversarial_loss import adaptive_weight, hinge_loss

WEIGHT = 0.8


class Game:
    """A decoder of two convolutions, a discriminator, and a batch."""

    def __init__(self) -> None:
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.discriminator = PatchDiscriminator(channels=4, num_layers=1)
        for layer in self.discriminator.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.2)      # so that the hinges bend
        self.inputs, self.images = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)

    def reconstruct(self) -> Tensor:
        return self.last(torch.tanh(self.first(self.inputs)))

    def similarity_loss(self, reconstructions: Tensor) -> Tensor:
        return (reconstructions - self.images).abs().mean()

    def losses(self, iteration: int = 10, **kwargs) -> tuple[Tensor, dict[str, Tensor]]:
        reconstructions = self.reconstruct()
        similarity = self.similarity_loss(reconstructions)
        loss = AdversarialLoss(**{'weight': WEIGHT, 'start': 10, **kwargs})
        return similarity, loss(self.discriminator, self.images, reconstructions, similarity,
                                self.last.weight, iteration)

    def decoder(self) -> list[Tensor]:
        return [*self.first.parameters(), *self.last.parameters()]


def gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad.clone() for p in parameters]


@pytest.fixture
def game() -> Game:
    return Game()


def test_one_backward_pass_gives_the_gradients_of_the_plain_formulation(game: Game):
    similarity, losses = game.losses()
    (similarity + losses['loss_adversarial'] + losses['loss_discriminator']).backward()
    decoder, discriminator = game.decoder(), list(game.discriminator.parameters())
    joint = gradients(decoder), gradients(discriminator)

    # Plain: the decoder's gradients from two separate passes, put together by hand.
    twin = copy.deepcopy(game.discriminator)
    reconstructions = game.reconstruct()
    of_similarity = torch.autograd.grad(game.similarity_loss(reconstructions), decoder)
    of_game = torch.autograd.grad(-twin(game.reconstruct()).mean(), decoder)
    last = 2        # the third of the decoder's parameters
    ratio = of_similarity[last].norm() / (of_game[last].norm() + 1e-4)
    for found, a, b in zip(joint[0], of_similarity, of_game, strict=True):
        torch.testing.assert_close(found, a + WEIGHT * ratio * b)

    # Plain: the discriminator's, from reconstructions that are nothing but numbers.
    real, fake = twin(game.images), twin(reconstructions.detach())
    zeros = torch.zeros_like(real)
    loss = (torch.maximum(1 - real, zeros).mean() + torch.maximum(1 + fake, zeros).mean()) / 2
    for found, wanted in zip(joint[1], torch.autograd.grad(loss, list(twin.parameters())),
                             strict=True):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(losses['adaptive_weight'], ratio)


def test_each_loss_moves_its_own_network_only(game: Game):
    _, losses = game.losses()
    losses['loss_adversarial'].backward(retain_graph=True)
    assert all(p.grad is None for p in game.discriminator.parameters())
    assert all(p.grad is not None for p in game.decoder())
    for p in game.decoder():
        p.grad = None
    losses['loss_discriminator'].backward()
    assert all(p.grad is None for p in game.decoder())
    assert all(p.grad is not None for p in game.discriminator.parameters())


def test_before_the_start_nothing_moves_but_every_parameter_has_a_gradient(game: Game):
    similarity, losses = game.losses(iteration=9)
    assert losses['loss_adversarial'] == losses['loss_discriminator'] == 0
    (similarity + losses['loss_adversarial'] + losses['loss_discriminator']).backward()
    assert all(p.grad.abs().sum() == 0 for p in game.discriminator.parameters())
    alone = torch.autograd.grad(game.similarity_loss(game.reconstruct()), game.decoder())
    for p, wanted in zip(game.decoder(), alone, strict=True):
        torch.testing.assert_close(p.grad, wanted)


def test_the_game_is_on_from_its_start(game: Game):
    assert game.losses(iteration=10)[1]['loss_discriminator'] > 0


def test_hinge_loss_by_hand():
    real, fake = torch.tensor([2., 0., -1.]), torch.tensor([-3., 0.5, 0.])
    assert hinge_loss(real, fake).item() == pytest.approx(((0 + 1 + 2) + (0 + 1.5 + 1)) / 6)


def test_adaptive_weight_by_hand_and_its_bound():
    weight = torch.tensor([3., 4.], requires_grad=True)
    similarity, adversarial = weight.square().sum() / 2, weight[0] / 2
    ratio = adaptive_weight(similarity, adversarial, weight)
    assert ratio.item() == pytest.approx(5 / (0.5 + 1e-4))
    assert not ratio.requires_grad
    assert adaptive_weight(similarity, adversarial, weight, max_weight=7.).item() == 7
    assert adaptive_weight(similarity, adversarial * 0, weight).item() == 1e4


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match='start=-1'):
        AdversarialLoss(start=-1)
