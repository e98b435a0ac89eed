"""The web page: what its buttons do, and the page itself in a real browser."""
from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from addp_mm.apis.inferencer import ADDPInferencer
from addp_mm.cli.run import run
from tests.helpers.browser import CHROMIUM, DRIVER, open_browser
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg

DEMO = Path(__file__).resolve().parents[2] / 'projects' / 'gradio_demo'
SAMPLER = dict(num_steps=3, schedule='linear', temperature=2.0, top_p=0.9)
MODEL_SAMPLER = dict(num_steps=5, schedule='linear', temperature=30.0, dynamic=False, top_p=0.8)


@pytest.fixture(autouse=True)
def demo_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEMO))


@pytest.fixture(scope='module')
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ADDPInferencer]:
    folder = tmp_path_factory.mktemp('models')
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        configs = dict(addp=tiny_addp_cfg(folder, sampler=MODEL_SAMPLER),
                       mage=tiny_mage_training_cfg(folder))
        return {name: ADDPInferencer(build_model(cfg), device='cpu')
                for name, cfg in configs.items()}


@pytest.fixture
def actions(models: dict[str, ADDPInferencer]):
    from actions import DemoActions
    return DemoActions(models)


def painted(image: np.ndarray, where: tuple[slice, slice] | None) -> dict:
    """What Gradio's editor gives for an image that was painted on."""
    opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
    layer = np.zeros((*image.shape[:2], 4), np.uint8)
    if where is not None:
        layer[where] = 255
    return dict(background=np.concatenate([image, opaque], axis=2), layers=[layer], composite=None)


@pytest.mark.parametrize('name', ['addp', 'mage'])
def test_generate_shows_each_step(actions, name: str):
    steps = list(actions.generate(name, 2, 7, *SAMPLER.values()))
    assert [step.status for step in steps] == [f'Step {k} of 3, seed 7' for k in (1, 2, 3)]
    assert all(len(step.images) == 2 and step.images[0].shape == (256, 256, 3) for step in steps)
    wanted = actions.models[name].generate(2, seed=7, **SAMPLER)
    np.testing.assert_array_equal(steps[-1].images[1][::8, ::8], wanted[1])
    assert (steps[0].images[0] != steps[-1].images[0]).any()
    assert steps[0].steps.shape[1] < steps[1].steps.shape[1] < steps[2].steps.shape[1]
    np.testing.assert_array_equal(
        actions.example(name, 7, *SAMPLER.values()), steps[-1].images[0])


def test_what_the_page_does_not_name_is_as_in_the_models_own_sampler(actions):
    assert actions.sampler('addp') == dict(
        num_steps=5, schedule='linear', temperature=30.0, top_p=0.8, max_steps=16)
    own = [actions.sampler('addp')[name] for name in SAMPLER]
    *_, last = actions.generate('addp', 1, 3, *own)
    np.testing.assert_array_equal(
        last.images[0][::8, ::8], actions.models['addp'].generate(1, seed=3)[0])


def test_without_a_seed_each_call_has_another(actions):
    found = [next(actions.generate('addp', 1, None, *SAMPLER.values())) for _ in range(2)]
    assert found[0].seed != found[1].seed
    assert found[0].status.endswith(f'seed {found[0].seed}')
    again = next(actions.generate('addp', 1, found[0].seed, *SAMPLER.values()))
    np.testing.assert_array_equal(again.images[0], found[0].images[0])


@pytest.mark.parametrize('name', ['addp', 'mage'])
def test_inpaint_changes_what_is_painted(actions, name: str):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    where = (slice(52, 64), slice(0, 64))
    *_, last = actions.inpaint(name, painted(image, where), 2, 7, *SAMPLER.values())
    assert len(last.images) == 2 and last.images[0].shape == (64, 64, 3)
    np.testing.assert_array_equal(last.images[0][:10], image[:10])
    mask = np.zeros((64, 64), bool)
    mask[where] = True
    np.testing.assert_array_equal(
        last.images, actions.models[name].inpaint(image, mask, 2, 7, **SAMPLER))


def test_an_image_is_continued(actions):
    image, values = np.full((40, 60, 3), 90, np.uint8), [2, 7, *SAMPLER.values()]
    model, none = actions.models['addp'], dict(left=0, top=0, bottom=0)
    *_, last = actions.extend('addp', image, dict(none, right=50), *values)
    np.testing.assert_array_equal(
        last.images, model.outpaint(image, right=30, num_samples=2, seed=7, **SAMPLER))
    *_, last = actions.extend('addp', image, dict(scale=2), *values)
    np.testing.assert_array_equal(last.images, model.uncrop(image, 2, 2, 7, **SAMPLER))
    for empty in (actions.preview_margins('addp', None, dict(scale=2)),
                  actions.preview_margins('addp', image, dict(none, right=0))):
        assert empty is None
    picture = actions.preview_margins('addp', image, dict(none, right=50)).astype(int)
    red = picture[..., 0] - picture[..., 1] > 60
    assert red[:, -60:].mean() > 0.9 and not red[:, :60].any()


def test_the_preview_shows_whole_tokens(actions):
    image = np.zeros((32, 32, 3), np.uint8)
    picture = actions.preview_mask('addp', painted(image, (slice(9, 10), slice(17, 18))))
    red = picture[..., 0] > 140                     # 4 x 4 tokens, one of which was touched
    rows, columns = np.nonzero(red)
    side = len(picture) // 4
    assert (rows.min() // side, columns.min() // side) == (1, 2)
    assert (rows.max() // side, columns.max() // side) == (1, 2)
    assert red.sum() > 0.9 * side**2
    assert actions.preview_mask('addp', painted(image, None)) is None


def test_what_cannot_be_done_is_told(actions):
    image, values = np.zeros((32, 32, 3), np.uint8), [1, 0, *SAMPLER.values()]
    empty = dict(painted(image, None), background=np.zeros((32, 32, 4), np.uint8))
    for value, message in ((None, 'no image'), (empty, 'no image'),
                           (painted(image, None), 'Nothing is painted'),
                           (painted(image, (slice(None), slice(None))), 'mask')):
        with pytest.raises(ValueError, match=message):
            next(actions.inpaint('addp', value, *values))
    with pytest.raises(ValueError, match="model must be one of .*, got 'other'"):
        next(actions.generate('other', *values))
    for count, seed, message in ((17, 0, 'between 1 and 16, got 17'), (1, -1, 'seed must lie')):
        with pytest.raises(ValueError, match=message):
            next(actions.generate('addp', count, seed, *SAMPLER.values()))


def test_results_that_are_too_large_are_refused_before_they_are_made(actions):
    image, values = np.zeros((1, 6000, 3), np.uint8), [0, *SAMPLER.values()]
    with pytest.raises(ValueError, match='1 results of 384.0 million pixels are too much'):
        next(actions.extend('addp', image.repeat(4000, 0), dict(scale=4), 1, *values))
    with pytest.raises(ValueError, match='16 results of 6.3 million pixels are too much'):
        next(actions.extend('addp', image.repeat(1000, 0), dict(scale=1.025), 16, *values))


def test_huge_uploads_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch):
    import actions
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', Image.MAX_IMAGE_PIXELS)
    actions.limit_pixels()
    file = io.BytesIO()
    Image.new('1', (6000, 4001)).save(file, 'PNG')
    with pytest.raises(Image.DecompressionBombError):
        Image.open(file)


def test_transparent_places_are_white():
    from actions import read_editor
    value = painted(np.zeros((8, 8, 3), np.uint8), (slice(0, 2), slice(0, 2)))
    value['background'][4:, :, 3] = 0
    image, mask = read_editor(value)
    assert (image[:4] == 0).all() and (image[4:] == 255).all() and mask.sum() == 4


def test_without_gradio_the_command_says_what_to_install(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    import launch
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.delitem(sys.modules, 'page', raising=False)
    assert run(launch.main, ['config.py', 'weights.pth']) == 2
    assert 'pip install "gradio>=6"' in capsys.readouterr().err


def test_several_models_on_the_command_line(tmp_path: Path):
    import launch
    for name, weights in (('a', 'x.pth'), ('b', 'x.pth')):
        cfg = Config(dict(model=tiny_addp_cfg(tmp_path), default_scope='mmpretrain'))
        cfg.dump(tmp_path / f'{name}.py')
        torch.save(dict(state_dict=build_model(cfg.model).state_dict()), tmp_path / weights)
    a, b, x = (str(tmp_path / name) for name in ('a.py', 'b.py', 'x.pth'))
    found = launch.load_models(launch.parse_args([a, x, '--also', b, x, '--device', 'cpu']))
    assert list(found) == [f'{tmp_path.name}/{name}, x.pth' for name in 'ab']
    with pytest.raises(ValueError, match='is given twice'):
        launch.load_models(launch.parse_args([a, x, '--also', a, x, '--device', 'cpu']))
    with pytest.raises(ValueError, match='--also expects a config and its checkpoint'):
        launch.load_models(launch.parse_args([a, x, '--also', b, x, x, '--device', 'cpu']))


@pytest.fixture
def address(actions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The page, served in this process."""
    pytest.importorskip('gradio', reason='gradio is not installed')
    for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'all_proxy'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path / 'gradio'))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', Image.MAX_IMAGE_PIXELS)
    from actions import MAX_UPLOAD, limit_pixels
    from page import THEME, build_page
    limit_pixels()
    page = build_page(actions)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, theme=THEME,
                            server_name='127.0.0.1', max_file_size=MAX_UPLOAD)
    yield url
    page.close()


class Http:
    """The page's HTTP interface, as any program can use it."""

    def __init__(self, address: str) -> None:
        import httpx
        self.client = httpx.Client(base_url=f'{address}gradio_api/', timeout=60, trust_env=False)

    def call(self, name: str, *values: object) -> list[tuple[str, Any]]:
        """What an action sends: ('generating', values) ..., ('complete', values) or an error."""
        event = self.client.post(f'call/{name}', json=dict(data=values)).json()['event_id']
        text = self.client.get(f'call/{name}/{event}').text
        return [(kind, json.loads(data))
                for kind, data in re.findall(r'event: (\w+)\ndata: (.*)', text)
                if kind != 'heartbeat']

    def upload(self, content: bytes) -> Any:
        """The value of a file that was uploaded, or the status of a refusal."""
        reply = self.client.post('upload', files=dict(files=('image.png', content)))
        if reply.is_error:
            return reply.status_code
        return dict(path=reply.json()[0], meta=dict(_type='gradio.FileData'))

    def image(self, value: dict) -> np.ndarray:
        """The pixels of an image that an action sent."""
        return np.asarray(Image.open(io.BytesIO(self.client.get(value['url']).content)))


@pytest.fixture
def http(address: str) -> Http:
    return Http(address)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, 'PNG')
    return file.getvalue()


def test_generating_over_http(http: Http, actions):
    values = list(SAMPLER.values())
    found = http.call('generate', 'addp', 2, False, 7, *values)
    steps = [data for kind, data in found if kind == 'generating']
    assert [data[2] for data in steps] == [f'Step {k} of 3, seed 7' for k in (1, 2, 3)]
    assert steps[0][3] == 7 and found[-1][0] == 'complete'
    images = [http.image(entry['image'])[::8, ::8] for entry in steps[-1][0]]
    np.testing.assert_array_equal(images, actions.models['addp'].generate(2, seed=7, **SAMPLER))
    assert http.image(steps[-1][1]).shape[1] > 3 * 96
    seeds = {http.call('generate', 'mage', 1, True, 7, *values)[0][1][3] for _ in range(2)}
    assert len(seeds) == 2 and 7 not in seeds
    (_, (own_steps, *_)), = http.call('sampler', 'addp')
    assert (own_steps['value'], own_steps['maximum']) == (5, 16)


def test_continuing_over_http(http: Http):
    values = ['sides', 2, 0, 0, 50, 0, *SAMPLER.values()]
    file = http.upload(png(Image.new('RGB', (60, 40), 'red')))
    kind, (gallery, *_) = http.call('continue', 'addp', 1, False, 7, file, *values)[-1]
    assert kind == 'complete' and http.image(gallery[0]['image']).shape == (40, 90, 3)
    bomb = http.upload(png(Image.new('1', (6000, 4001))))
    for file, message in ((None, 'There is no image'), (bomb, 'more than 24 million pixels')):
        (kind, data), = http.call('continue', 'addp', 1, False, 7, file, *values)
        assert kind == 'error' and message in data['error']
    assert http.upload(bytes(21 * 2**20)) == 413


@pytest.fixture
def edits(actions) -> list[dict]:
    """What the editor of the page gave, call by call."""
    values, inpaint = [], actions.inpaint

    def record(model: str, painted: dict, *args: object) -> Iterator:
        values.append(painted)
        yield from inpaint(model, painted, *args)

    actions.inpaint = record
    return values


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='chromium, chromedriver are not installed')
def test_in_a_browser(edits: list[dict], address: str, actions, tmp_path: Path):
    from actions import read_editor
    loaded = 'return [...document.querySelectorAll("#%s img")].filter(i => i.naturalWidth).length'
    status = 'return document.querySelector("#%s_status textarea")?.value.startsWith("Step %d of")'
    with open_browser() as browser:
        browser.call('/url', url=address)
        browser.click('#generate')
        browser.wait(status % ('generated', 5))
        assert browser.wait(loaded % 'generated') == 4
        assert browser.run(loaded % 'generated_steps') == 1
        browser.screenshot(tmp_path / 'generate.png')

        browser.run('[...document.querySelectorAll("button[role=tab]")]'
                    '.find(tab => tab.innerText == "Inpaint").click()')
        browser.click('#inpaint')
        browser.wait('return document.body.innerText.includes("There is no image")')
        browser.click('#take')
        box = browser.wait('const box = document.querySelector("#editor canvas")'
                           '?.getBoundingClientRect(); return box && box.width > 50 '
                           '&& [box.x + box.width / 2, box.y + box.height / 2]')
        browser.wait('return !document.querySelector("#editor .eta-bar, #editor .generating")')
        x, y = box
        browser.drag((x - 40, y), (x, y + 20), (x + 40, y))
        assert browser.wait(loaded % 'redrawn') == 1
        browser.click('#inpaint')
        browser.wait(status % ('results', 5))
        assert browser.wait(loaded % 'results') >= 4
        browser.screenshot(tmp_path / 'inpaint.png')
    image, mask = read_editor(edits[-1])
    assert image.shape == (256, 256, 3)
    assert mask[128, 128] and not mask[:64].any() and 0.05 < mask.mean() < 0.4
