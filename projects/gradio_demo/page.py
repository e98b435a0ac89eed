"""The web page: one tab to generate images, one to paint a mask and inpaint."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr
from actions import MAX_IMAGES, DemoActions

# Fonts of the machine: the default theme would fetch its own from the network.
THEME = gr.themes.Base(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
QUEUE = dict(concurrency_id='model', concurrency_limit=1)       # one model, one call at a time


def build_page(actions: DemoActions, title: str) -> gr.Blocks:
    """Build the page.

    Args:
        actions: What the buttons do.
        title: Headline, for example the name of the model.
    """
    with gr.Blocks(title='ADDP', analytics_enabled=False) as page:
        gr.Markdown(f'# {title}')
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                count, *sampler = _controls(actions)
            with gr.Column(scale=3):
                with gr.Tab('Generate'):
                    button = gr.Button('Generate', variant='primary', elem_id='generate')
                    gallery = gr.Gallery(label='Generated', columns=4, elem_id='generated',
                                         format='png')
                    button.click(_explained(actions.generate), [count, *sampler], gallery, **QUEUE)
                with gr.Tab('Inpaint'):
                    _inpainting(actions, count, sampler)
    return page


def _controls(actions: DemoActions) -> list[gr.components.Component]:
    """Number of images, then the options in the order that the actions take them."""
    return [
        gr.Slider(1, MAX_IMAGES, value=4, step=1, label='Images'),
        gr.Slider(0, 9999, value=0, step=1, label='Seed'),
        gr.Slider(1, actions.max_steps, value=actions.default_steps, step=1, label='Steps'),
        gr.Radio(['cosine', 'linear'], value='cosine', label='Schedule'),
        gr.Slider(0, 20, value=6, step=0.5, label='Temperature'),
        gr.Slider(0.05, 1, value=1, step=0.05, label='Top-p'),
    ]


def _inpainting(actions: DemoActions, count: gr.Slider,
                sampler: list[gr.components.Component]) -> None:
    gr.Markdown('Upload an image, or take a generated one. Paint over what shall be replaced.')
    with gr.Row():
        take = gr.Button('Take a generated image', elem_id='take')
        button = gr.Button('Inpaint', variant='primary', elem_id='inpaint')
    with gr.Row():
        editor = gr.ImageEditor(
            label='Image and mask', type='numpy', image_mode='RGBA', sources=('upload', ),
            transforms=(), layers=False, format='png', canvas_size=(512, 512), elem_id='editor',
            brush=gr.Brush(default_size=40, colors=['#ffffff'], color_mode='fixed'))
        gallery = gr.Gallery(label='Results', columns=2, elem_id='results', format='png')
    take.click(_explained(actions.example), sampler, editor, **QUEUE)
    button.click(_explained(actions.inpaint), [editor, count, *sampler], gallery, **QUEUE)


def _explained(action: Callable[..., Any]) -> Callable[..., Any]:
    """Show what a ValueError says on the page."""

    @functools.wraps(action)
    def wrapper(*args: Any) -> Any:
        try:
            return action(*args)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapper
