"""The command-line flags that say which metrics are made of which networks."""
from __future__ import annotations

import importlib
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmengine.device import get_device

from ..evaluation.feature_extractor import (
    CLASSIFIER,
    INCEPTION,
    METRICS,
    VGG,
    FeatureExtractor,
    MetricFeatures,
)
from ..evaluation.generation_scores import CACHE_DIR


def add_extractor_arguments(parser: ArgumentParser) -> None:
    """Add the flags that :func:`build_extractors` reads, but for --device, and the cache's."""
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


def build_extractors(args: Namespace) -> MetricFeatures:
    """Build the networks that the flags name.

    Raises:
        FileNotFoundError: If weights are missing.
        ModuleNotFoundError: If torch-fidelity or a module of ``--import`` is missing.
        ValueError: If a name is unknown, or weights do not fit.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for module in args.modules:
        importlib.import_module(module)
    main = FeatureExtractor(args.extractor, args.extractor_weights, args.extractor_config)
    other = None
    if args.prc_extractor is not None:
        same = args.prc_extractor == main.name and args.prc_extractor_weights is None
        other = main if same else FeatureExtractor(args.prc_extractor, args.prc_extractor_weights)
    elif args.prc_extractor_weights is not None:
        other = FeatureExtractor(VGG, args.prc_extractor_weights)
    return MetricFeatures(args.metrics, main, other, args.device or get_device())
