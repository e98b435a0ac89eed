"""The web page: tabs to generate images, to paint a mask and inpaint, and to continue an image."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from actions import MAX_IMAGES, MAX_PIXELS, MAX_SEED, DemoActions, Progress
from PIL import Image

# Fonts of the machine: the default theme would fetch its own from the network.
THEME = gr.themes.Base(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
MODEL_QUEUE = dict(concurrency_id='model', concurrency_limit=1)     # one call at a time
# Only the last stroke of a brush is worth a picture.
LIVE = dict(trigger_mode='always_last', show_progress='hidden')
HOUR = 3600
SIDES = ('left', 'top', 'right', 'bottom')


def build_page(actions: DemoActions) -> gr.Blocks:
    """Build the page.

    Args:
        actions: What the buttons do.
    """
    with gr.Blocks(title='ADDP', analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        gr.Markdown('# ADDP')
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                controls = Controls(actions)
            with gr.Column(scale=3):
                with gr.Tab('Generate'):
                    button = gr.Button('Generate', variant='primary', elem_id='generate')
                    shown = Shown('generated')
                    controls.connect(button, actions.generate, [], shown, 'generate')
                with gr.Tab('Inpaint'):
                    _inpainting(actions, controls)
                with gr.Tab('Continue'):
                    _continuing(actions, controls)
    return page


class Controls:
    """The column on the left: model, number of images, seed, and the options of the sampler."""

    def __init__(self, actions: DemoActions) -> None:
        names = list(actions.models)
        own = actions.sampler(names[0])
        self.model = gr.Dropdown(names, value=names[0], label='Model', elem_id='model')
        self.count = gr.Slider(1, MAX_IMAGES, value=4, step=1, label='Images')
        self.random = gr.Checkbox(True, label='Another seed each time', elem_id='random')
        self.seed = gr.Number(0, label='Seed', precision=0, minimum=0, maximum=MAX_SEED,
                              elem_id='seed')
        self.sampler = [
            gr.Slider(1, own['max_steps'], value=own['num_steps'], step=1, label='Steps'),
            gr.Radio(['cosine', 'linear'], value=own['schedule'], label='Schedule'),
            gr.Slider(0, max(20, own['temperature']), value=own['temperature'], step=0.1,
                      label='Temperature'),
            gr.Slider(0.01, 1, value=own['top_p'], step=0.01, label='Top-p')]
        gr.Markdown("The sampler starts as the model's own.")
        self.model.change(_explained()(lambda model: _own_sampler(actions, model)), self.model,
                          self.sampler, api_name='sampler')
        self.seed.input(lambda: False, None, self.random, api_name=False)

    def connect(self, button: gr.Button, action: Callable[..., Iterator[Progress]],
                inputs: list[gr.components.Component], shown: Shown, name: str) -> None:
        """Let a button run an action, whose steps are shown; a second button stops it."""

        def follow(model: str, count: int, is_random: bool, seed: int, *values: Any,
                   ) -> Iterator[tuple]:
            own, sampler = values[:len(inputs)], values[len(inputs):]
            with _explained():
                chosen: Any = None
                for step in action(model, *own, count, None if is_random else seed, *sampler):
                    # Only once: another seed may be typed meanwhile.
                    chosen = step.seed if chosen is None else gr.skip()
                    yield step.images, step.steps, step.status, chosen

        started = button.click(
            follow, [self.model, self.count, self.random, self.seed, *inputs,
                     *self.sampler],
            [shown.images, shown.steps, shown.status, self.seed], api_name=name,
            show_progress_on=shown.status, **MODEL_QUEUE)
        shown.stop.click(None, cancels=[started], api_name=False)


class Shown:
    """Where an action shows its steps and its results."""

    def __init__(self, name: str) -> None:
        with gr.Row():
            self.status = gr.Textbox(label='Progress', interactive=False, elem_id=f'{name}_status',
                                     scale=4)
            self.stop = gr.Button('Stop', scale=1)
        self.images = gr.Gallery(label='Images', columns=4, height='auto', format='png',
                                 object_fit='contain', elem_id=name)
        gr.Markdown('The steps of the first image:')
        self.steps = gr.Image(format='png', interactive=False, container=False, show_label=False,
                              buttons=[], elem_id=f'{name}_steps')


def _own_sampler(actions: DemoActions, model: str) -> list[Any]:
    """The controls of the sampler, set as the model's own."""
    own = actions.sampler(model)
    return [gr.Slider(maximum=own['max_steps'], value=own['num_steps']),
            gr.Radio(value=own['schedule']),
            gr.Slider(maximum=max(20, own['temperature']), value=own['temperature']),
            gr.Slider(value=own['top_p'])]


def _inpainting(actions: DemoActions, controls: Controls) -> None:
    gr.Markdown('Upload an image, or take a generated one. Paint over what shall be replaced. '
                'Whole tokens are redrawn: they are red on the right, and the edge of a result '
                'fades into the image around them.')
    with gr.Row():
        take = gr.Button('Take a generated image', elem_id='take')
        button = gr.Button('Inpaint', variant='primary', elem_id='inpaint')
    with gr.Row():
        editor = _limited(gr.ImageEditor(
            label='Image and mask', type='numpy', image_mode='RGBA', sources=('upload', ),
            transforms=(), layers=False, format='png', canvas_size=(512, 512), elem_id='editor',
            brush=gr.Brush(default_size=40, colors=['#ffffff'], color_mode='fixed')))
        preview = gr.Image(label='Redrawn tokens', interactive=False, format='png',
                           elem_id='redrawn')
    shown = Shown('results')

    @_explained()
    def example(model: str, is_random: bool, seed: int, *sampler: Any) -> Any:
        return actions.example(model, None if is_random else seed, *sampler)

    take.click(example,
               [controls.model, controls.random, controls.seed, *controls.sampler], editor,
               api_name='example', **MODEL_QUEUE)
    controls.connect(button, actions.inpaint, [editor], shown, 'inpaint')
    gr.on([editor.change, controls.model.change], actions.preview_mask,
          [controls.model, editor], preview, api_name='preview_mask', **LIVE)


def _continuing(actions: DemoActions, controls: Controls) -> None:
    gr.Markdown('Upload an image. It is continued beyond its borders: by a share of its width or '
                'height at each side, or on all sides alike. What is red is drawn.')
    with gr.Row():
        image = _limited(gr.Image(label='Image', type='numpy', image_mode='RGB', format='png',
                                  sources=('upload', ), elem_id='image'))
        preview = gr.Image(label='Drawn tokens', interactive=False, format='png',
                           elem_id='drawn')
    with gr.Row():
        way = gr.Radio(['sides', 'uncrop'], value='sides', label='Where', elem_id='way')
        scale = gr.Slider(1.1, 4, value=2, step=0.1, label='Uncrop: times as long')
    with gr.Row():
        sides = [gr.Slider(0, 100, value=50 if name == 'right' else 0, step=5, min_width=100,
                           label=f'{name.capitalize()} %') for name in SIDES]
    button = gr.Button('Continue', variant='primary', elem_id='continue')
    shown = Shown('continued')
    inputs = [image, way, scale, *sides]

    def run(model: str, image: Any, way: str, scale: float, *values: Any) -> Iterator[Progress]:
        shares, rest = values[:len(SIDES)], values[len(SIDES):]
        return actions.extend(model, image, _margins(way, scale, shares), *rest)

    def show(model: str, image: Any, way: str, scale: float, *shares: float) -> Any:
        return actions.preview_margins(model, image, _margins(way, scale, shares))

    controls.connect(button, run, inputs, shown, 'continue')
    gr.on([part.change for part in (controls.model, *inputs)], show, [controls.model, *inputs],
          preview, api_name='preview_margins', **LIVE)


def _margins(way: str, scale: float, shares: tuple[float, ...]) -> dict[str, float]:
    return dict(scale=scale) if way == 'uncrop' else dict(zip(SIDES, shares, strict=True))


def _limited(component: gr.components.Component) -> Any:
    """Say in one line that an upload has too many pixels, which Gradio would only log."""
    read = component.preprocess

    def preprocess(payload: Any) -> Any:
        try:
            return read(payload)
        except Image.DecompressionBombError as error:
            raise gr.Error(f'The image has more than {MAX_PIXELS // 10**6} million pixels: make '
                           'it smaller.', print_exception=False) from error

    component.preprocess = preprocess
    return component


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Show what a ValueError says on the page."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error
