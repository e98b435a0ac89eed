"""A web page to try a model: ``python projects/gradio_demo/launch.py CONFIG CHECKPOINT``."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.generate import add_model_arguments, build_inferencer

sys.path.insert(0, str(Path(__file__).resolve().parent))


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model_arguments(parser)
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at; 0.0.0.0 lets '
                        'other machines in (default: %(default)s)')
    parser.add_argument('--port', type=int, help='(default: the first free one from 7860 on)')
    parser.add_argument('--share', action='store_true', help='also show it on the internet, '
                        "through Gradio's servers")
    return parser.parse_args()


def main() -> int:
    """Serve the page until Ctrl-C; returns the exit code."""
    args = parse_args()
    try:
        from actions import DemoActions
        from page import THEME, build_page
        config = Path(args.config)
        page = build_page(DemoActions(build_inferencer(args)),
                          f'ADDP: {config.parent.name}/{config.stem}')
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        print('error: the web page needs Gradio: pip install "gradio>=6"', file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2
    page.launch(server_name=args.host, server_port=args.port, share=args.share, theme=THEME)
    return 0


if __name__ == '__main__':
    sys.exit(main())
