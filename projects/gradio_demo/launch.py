"""A web page to try a model: ``python projects/gradio_demo/launch.py CONFIG CHECKPOINT``."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.generate import build_inferencer
from addp_mm.cli.arguments import add_model_arguments, model_options
from addp_mm.cli.run import run

sys.path.insert(0, str(Path(__file__).resolve().parent))


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at; 0.0.0.0 lets '
                        'other machines in (default: %(default)s)')
    parser.add_argument('--port', type=int, help='(default: the first free one from 7860 on)')
    parser.add_argument('--share', action='store_true', help='also show it on the internet, '
                        "through Gradio's servers")
    return parser.parse_args(words)


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
    config = Path(args.config)
    page = build_page(DemoActions(build_inferencer(**model_options(args))),
                      f'ADDP: {config.parent.name}/{config.stem}')
    page.launch(server_name=args.host, server_port=args.port, share=args.share, theme=THEME,
                max_file_size=MAX_UPLOAD)


if __name__ == '__main__':
    sys.exit(run(main))
