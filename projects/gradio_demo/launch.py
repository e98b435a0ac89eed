"""A web page to try a model: ``python projects/gradio_demo/launch.py CONFIG CHECKPOINT``."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.generate import build_inferencer
from addp_mm.apis.inferencer import ADDPInferencer
from addp_mm.cli.arguments import add_model_arguments, model_options
from addp_mm.cli.run import run

sys.path.insert(0, str(Path(__file__).resolve().parent))


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--also', nargs='+', action='append', default=[], metavar='MODEL',
                        help='another model to choose from, a config and its checkpoint or a name; '
                        'may be given several times, and --cfg-options changes all of them')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at; 0.0.0.0 lets '
                        'other machines in (default: %(default)s)')
    parser.add_argument('--port', type=int, help='(default: the first free one from 7860 on)')
    parser.add_argument('--share', action='store_true', help='also show it on the internet, '
                        "through Gradio's servers")
    return parser.parse_intermixed_args(words)


def main(words: list[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    args = parse_args(words)
    try:
        from actions import MAX_UPLOAD, DemoActions, limit_pixels
        from page import THEME, build_page
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        raise ModuleNotFoundError(
            'the web page needs Gradio: pip install "gradio>=6"') from error
    limit_pixels()
    page = build_page(DemoActions(load_models(args)))
    page.launch(server_name=args.host, server_port=args.port, share=args.share, theme=THEME,
                max_file_size=MAX_UPLOAD)


def load_models(args: argparse.Namespace) -> dict[str, ADDPInferencer]:
    """The models of the command line by their names.

    Raises:
        ValueError: If a model is named twice, or by more than a config and a checkpoint.
    """
    models: dict[str, ADDPInferencer] = {}
    for config, *rest in [(args.config, args.checkpoint), *args.also]:
        if len(rest) > 1:
            raise ValueError('--also expects a config and its checkpoint, or a name, got '
                             f'{" ".join([config, *rest])}.')
        weights = rest[0] if rest else None
        name = f'{Path(config).parent.name}/{Path(config).stem}, {Path(weights).name}' \
            if weights else config
        if name in models:
            raise ValueError(f'The model {name!r} is given twice: leave one out, or rename one of '
                             'the files.')
        options = {**model_options(args), 'config': config, 'weights': weights}
        models[name] = build_inferencer(**options)
    return models


if __name__ == '__main__':
    sys.exit(run(main))
