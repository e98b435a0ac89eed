"""What of a file fits a model, and where that stops a test or a training."""
from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from addp_mm.checkpoints.fit import beyond, check_complete, check_start, load_what_fits
from addp_mm.checkpoints.weight_files import match_prefix


def classifier(depth: int = 2, num_classes: int = 3) -> nn.Module:
    """An encoder of some layers, a neck and a head."""
    layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(depth)])
    return nn.Sequential(OrderedDict(
        backbone=nn.Sequential(OrderedDict(layers=layers, norm=nn.BatchNorm1d(4))),
        neck=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), head=nn.Linear(4, num_classes)))


def weights_of(model: nn.Module, *without: str) -> dict[str, Tensor]:
    return {k: v for k, v in model.state_dict().items() if not k.startswith(without or ('-', ))}


def test_what_fits_is_loaded_and_the_rest_is_named() -> None:
    model, other = classifier(), classifier(num_classes=5)
    head = model.head.weight.clone()
    fit = load_what_fits(model, {**weights_of(other, 'neck.0'), 'extra': torch.zeros(1)})
    assert fit.missing == ('neck.0.weight', 'neck.0.bias')
    assert fit.other_sizes == ('head.weight', 'head.bias')
    assert fit.left_over == ('extra', )
    assert torch.equal(model.neck[1].weight, other.neck[1].weight)
    assert torch.equal(model.head.weight, head)
    assert str(fit) == ('11 of 15 tensors fit, 2 tensors (neck.0.weight, neck.0.bias) missing, '
                        '1 tensors (extra) left over, 2 tensors (head.weight, head.bias) of '
                        'another size')


def complete(model: nn.Module, weights: dict[str, Tensor]) -> None:
    check_complete(model, load_what_fits(model, weights), 'a.pth')


def test_in_a_test_no_tensor_keeps_its_start_value() -> None:
    complete(classifier(), weights_of(classifier()))
    complete(classifier(), weights_of(classifier(), 'backbone.norm.num_batches'))
    complete(classifier(), {**weights_of(classifier()), 'auxiliary_head.fc': torch.zeros(1)})
    for without in ('head', 'backbone.layers.1', 'neck.1.bias', 'backbone.norm.running_mean'):
        with pytest.raises(ValueError, match=rf'a\.pth holds .* another model .*{without}'):
            complete(classifier(), weights_of(classifier(), without))
    with pytest.raises(ValueError, match=r'another model .*layers\.2\.weight.* left over'):
        complete(classifier(), weights_of(classifier(depth=3)))
    with pytest.raises(ValueError, match=r'of other sizes .* size mismatch for head\.weight'):
        complete(classifier(), weights_of(classifier(num_classes=5)))


def start(model: nn.Module, weights: dict[str, Tensor]) -> list[str]:
    return check_start(model, load_what_fits(model, weights), 'a.pth')


def test_a_training_starts_from_whole_parts() -> None:
    assert start(classifier(), weights_of(classifier())) == []
    note, = start(classifier(), weights_of(classifier(num_classes=5)))
    assert 'head starts anew (2 tensors: head.weight, head.bias)' in note
    note, = start(classifier(), weights_of(classifier(), 'neck', 'head'))
    assert 'head, neck start anew' in note
    for weights in (weights_of(classifier(), 'backbone'), weights_of(classifier(), 'neck.1'),
                    weights_of(classifier(), 'backbone.layers.1'), weights_of(classifier(depth=3)),
                    {}, {'other': torch.zeros(1)},
                    {f'model.{k}': v for k, v in weights_of(classifier()).items()}):
        with pytest.raises(ValueError, match=r'a\.pth does not fit the Sequential: '):
            start(classifier(), weights)


def test_names_beyond_the_end_of_a_list() -> None:
    own = ['layers.0.a', 'layers.1.a', 'norm']
    assert beyond(['layers.1.b', 'layers.2.a', 'head.0.a'], own) == ['layers.2.a']


def test_a_frozen_part_takes_no_file_of_a_larger_model() -> None:
    names = ['encoder.0.weight', 'decoder.weight']
    weights = {f'tokenizer.{name}': torch.zeros(1) for name in names}
    weights |= {'discriminator.0.weight': torch.zeros(1)}
    assert match_prefix(weights, names).keys() == set(names)
    weights['tokenizer.encoder.1.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'larger model, with 1 tensors more .*encoder\.1\.weight'):
        match_prefix(weights, names)


@pytest.mark.parametrize('dtype', [torch.int32, torch.complex64])
def test_weights_of_another_kind_are_refused(dtype: torch.dtype):
    model = nn.Linear(2, 2)
    weights = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=f'weight has values of {dtype}, expected floating-point'):
        load_what_fits(model, weights)
