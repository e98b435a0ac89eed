"""The flags that several command lines share, and the parameters that they stand for."""
from __future__ import annotations

import os
from argparse import ArgumentError, ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from ..apis.precision import DTYPES
from ..evaluation.feature_extractor import CLASSIFIER, INCEPTION, METRICS, VGG
from ..evaluation.generation_scores import CACHE_DIR

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
# The flags of the sampler's options, and their names.
SAMPLER_FLAGS = dict(steps='num_steps', schedule='schedule', temperature='temperature',
                     top_p='top_p', rounding='rounding', final='final')


class Options(DictAction):
    """mmengine's action for ``key=value``; anything else is an error of the command line."""

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any,
                 option_string: str | None = None) -> None:
        """Add the options to the namespace."""
        if wrong := [word for word in values if not word.partition('=')[1]]:
            raise ArgumentError(self, f'expected key=value without spaces, got {wrong[0]!r}')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:     # of brackets
            raise ArgumentError(self, str(error)) from error
        except RecursionError as error:     # of what follows a bracket that closes nothing
            raise ArgumentError(self, f'cannot read {" ".join(values)}: values are numbers, words '
                                      'and lists; set a dict part by part, key.part=value'
                                ) from error


def add_runner_arguments(parser: ArgumentParser) -> None:
    """Add the flags that all of OpenMMLab's training and test tools know."""
    parser.add_argument('--work-dir', help='folder of logs, checkpoints and results')
    parser.add_argument('--amp', action='store_true', help='use mixed precision')
    parser.add_argument('--no-pin-memory', action='store_true',
                        help='turn off pin_memory in the data loaders')
    parser.add_argument('--cfg-options', nargs='+', action=Options,
                        help='change settings of the config: key=value; lists as key=a,b or '
                             'key="[a,b]", nested ones as key="[(a,b),(c,d)]", without spaces')
    add_launcher_arguments(parser, 'what started the processes of a distributed run')


def runner_options(args: Namespace) -> dict[str, Any]:
    """The parameters of ``train_config`` and ``test_config`` that both know."""
    set_local_rank(args)
    return dict(work_dir=args.work_dir, amp=args.amp, pin_memory=not args.no_pin_memory,
                cfg_options=args.cfg_options, launcher=args.launcher)


def add_launcher_arguments(parser: ArgumentParser, usage: str) -> None:
    """Add what a command needs that runs in several processes.

    Args:
        parser: Gets the flags.
        usage: The help of ``--launcher``.
    """
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help=usage)
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help='number of the process on its machine')


def set_local_rank(args: Namespace) -> None:
    """Set the variable that says which GPU is this process's, unless the launcher has."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def add_model_arguments(parser: ArgumentParser) -> None:
    """Add what every tool needs that runs a trained model."""
    parser.add_argument('config', help='config of a training of type ADDP or MAGETraining, or the '
                                       'name of a released model, such as addp_vit-l_800e')
    parser.add_argument('checkpoint', nargs='?',
                        help='its checkpoint, a converted file, or addp://NAME (default: what was '
                             'released under the name)')
    parser.add_argument('--device', help='where to run, for example cpu or cuda:1 (default: a GPU '
                                         'if there is one)')
    parser.add_argument('--dtype', choices=DTYPES, default='float32',
                        help='precision; float64 for pixels that do not depend on the machine '
                             '(default: %(default)s)')
    parser.add_argument('--cuda-graphs', action='store_true',
                        help='on a GPU, start the kernels of a network as one: faster for small '
                             'batches')
    parser.add_argument('--cfg-options', nargs='+', action=Options,
                        help='change settings of the config: key=value')


def model_options(args: Namespace) -> dict[str, Any]:
    """The parameters of ``build_inferencer``."""
    return dict(config=args.config, weights=args.checkpoint, device=args.device, dtype=args.dtype,
                cuda_graphs=args.cuda_graphs, cfg_options=args.cfg_options)


def add_sampler_arguments(parser: ArgumentParser) -> None:
    """Add the options of the sampler; where none is given, that of the config's model holds."""
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=16,
                        help='images at a time; they do not depend on it (default: %(default)s)')
    parser.add_argument('--steps', type=int, help='number of steps (default of this and the '
                                                  'following: as in model.sampler of the config; '
                                                  'else 20, at most one for each token)')
    parser.add_argument('--schedule', choices=['cosine', 'linear'], help='(default: cosine)')
    parser.add_argument('--temperature', type=float, help='of the confidence (default: 6.0)')
    parser.add_argument('--static-temperature', action='store_true',
                        help='do not lower the temperature over the steps')
    parser.add_argument('--top-p', type=float, help='draw from the likeliest codes with this '
                                                    'probability together (default: 1.0, all)')
    parser.add_argument('--rounding', choices=['ceil', 'floor'],
                        help='of the number of masked tokens; floor as MAGE (default: ceil)')
    parser.add_argument('--final', choices=['soft', 'hard'],
                        help='whether a token of the last image stays a mixture (default: soft, '
                             'as the reference release)')


def sampler_options(args: Namespace) -> dict[str, Any]:
    """The options of the sampler that the command line names."""
    options = {name: getattr(args, flag) for flag, name in SAMPLER_FLAGS.items()}
    given = {name: value for name, value in options.items() if value is not None}
    return {**given, 'dynamic': False} if args.static_temperature else given


def add_extractor_arguments(parser: ArgumentParser) -> None:
    """Add the flags that say which metrics are made of which networks, and the cache's."""
    group = parser.add_argument_group('metrics and networks')
    group.add_argument('--metrics', nargs='+', choices=METRICS, default=list(METRICS),
                       help='fid, is (Inception Score), prc (precision and recall); default: all')
    group.add_argument('--extractor', default=INCEPTION, metavar='NAME',
                       help='network of the features: one that torch-fidelity knows, '
                            f'{CLASSIFIER!r} (of mmpretrain), or one that --import registers '
                            '(default: %(default)s)')
    group.add_argument('--extractor-weights', metavar='FILE',
                       help='its weights (default: $ADDP_INCEPTION_WEIGHTS, else '
                            "torch-fidelity's download)")
    group.add_argument('--extractor-config', metavar='FILE', help='config of a classifier')
    group.add_argument('--prc-extractor', metavar='NAME',
                       help=f'network of precision and recall (default: {VGG} beside {INCEPTION}, '
                            'as torch-fidelity; else the same as --extractor)')
    group.add_argument('--prc-extractor-weights', metavar='FILE',
                       help='its weights (default: $ADDP_VGG16_WEIGHTS, else the download)')
    group.add_argument('--import', dest='modules', nargs='+', default=[], metavar='MODULE',
                       help='Python modules to import first, which register feature extractors')
    group.add_argument('--cache-dir', type=Path, default=CACHE_DIR,
                       help='where features of reference sets are kept (default: %(default)s)')
    group.add_argument('--no-cache', dest='cache_dir', action='store_const', const=None,
                       help='do not keep them')


def extractor_options(args: Namespace) -> dict[str, Any]:
    """The parameters of ``build_extractors``, but for the device."""
    return dict(metrics=args.metrics, name=args.extractor, weights=args.extractor_weights,
                config=args.extractor_config, prc_name=args.prc_extractor,
                prc_weights=args.prc_extractor_weights, modules=args.modules)
