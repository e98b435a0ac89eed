"""The web page: what its buttons do, and the page itself in a real browser."""
from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.apis.inferencer import ADDPInferencer
from addp_mm.cli.run import run
from tests.helpers.browser import CHROMIUM, DRIVER, open_browser
from tests.helpers.tiny import build_model, tiny_addp_cfg

DEMO = Path(__file__).resolve().parents[2] / 'projects' / 'gradio_demo'
SAMPLER = dict(num_steps=3, schedule='linear', temperature=2.0, top_p=0.9)


@pytest.fixture(autouse=True)
def demo_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEMO))


@pytest.fixture
def actions(tmp_path: Path):
    from actions import DemoActions
    model = build_model(tiny_addp_cfg(tmp_path))
    return DemoActions(ADDPInferencer(model, device='cpu'))


def painted(image: np.ndarray, where: tuple[slice, slice] | None) -> dict:
    """What Gradio's editor gives for an image that was painted on."""
    opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
    layer = np.zeros((*image.shape[:2], 4), np.uint8)
    if where is not None:
        layer[where] = 255
    return dict(background=np.concatenate([image, opaque], axis=2), layers=[layer], composite=None)


def test_generate_follows_the_controls(actions):
    images = actions.generate(2, 7, *SAMPLER.values())
    assert len(images) == 2 and images[0].shape == (256, 256, 3)
    wanted = actions.inferencer.generate(2, seed=7, **SAMPLER)
    np.testing.assert_array_equal(images[1][::8, ::8], wanted[1])
    np.testing.assert_array_equal(actions.example(7, *SAMPLER.values()), images[0])
    assert actions.max_steps == 16 and actions.default_steps == 16


def test_inpaint_changes_what_is_painted(actions):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    where = (slice(52, 64), slice(0, 64))
    results = actions.inpaint(painted(image, where), 2, 7, *SAMPLER.values())
    assert len(results) == 2 and results[0].shape == (64, 64, 3)
    np.testing.assert_array_equal(results[0][:10], image[:10])
    assert (results[0][where] != image[where]).mean() > 0.9
    mask = np.zeros((64, 64), bool)
    mask[where] = True
    np.testing.assert_array_equal(
        results, actions.inferencer.inpaint(image, mask, 2, 7, **SAMPLER))


def test_what_cannot_be_inpainted_is_told(actions):
    image = np.zeros((32, 32, 3), np.uint8)
    empty = dict(painted(image, None), background=np.zeros((32, 32, 4), np.uint8))
    for value, message in ((None, 'no image'), (empty, 'no image'),
                           (painted(image, None), 'Nothing is painted'),
                           (painted(image, (slice(None), slice(None))), 'mask')):
        with pytest.raises(ValueError, match=message):
            actions.inpaint(value, 1, 0, *SAMPLER.values())


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


@pytest.fixture
def edits(actions) -> list[dict]:
    """What the editor of the page gave, call by call."""
    values, inpaint = [], actions.inpaint

    def record(painted: dict, *args: object) -> list[np.ndarray]:
        values.append(painted)
        return inpaint(painted, *args)

    actions.inpaint = record
    return values


@pytest.fixture
def address(actions, edits: list[dict], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page, served in this process."""
    pytest.importorskip('gradio', reason='gradio is not installed')
    if not (CHROMIUM and DRIVER):
        pytest.skip('chromium and chromedriver are not installed')
    from page import THEME, build_page
    for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'all_proxy'):
        monkeypatch.delenv(name, raising=False)
    page = build_page(actions, 'ADDP: tiny')
    _, url, _ = page.launch(
        prevent_thread_lock=True, quiet=True, theme=THEME, server_name='127.0.0.1')
    yield url
    page.close()


def test_in_a_browser(address: str, actions, edits: list[dict], tmp_path: Path):
    from actions import read_editor
    loaded = 'return [...document.querySelectorAll("#%s img")].filter(i => i.naturalWidth).length'
    with open_browser() as browser:
        browser.call('/url', url=address)
        browser.click('#generate')
        assert browser.wait(loaded % 'generated') == 4
        browser.screenshot(tmp_path / 'generate.png')

        browser.run('[...document.querySelectorAll("button[role=tab]")]'
                    '.find(tab => tab.innerText == "Inpaint").click()')
        browser.click('#inpaint')
        browser.wait('return document.body.innerText.includes("There is no image")')
        browser.click('#take')
        box = browser.wait('const box = document.querySelector("#editor canvas")'
                           '?.getBoundingClientRect(); return box && box.width > 50 && box')
        browser.wait('return !document.querySelector("#editor .eta-bar, #editor .generating")')
        x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
        browser.drag((x - 40, y), (x, y + 20), (x + 40, y))
        browser.click('#inpaint')
        assert browser.wait(loaded % 'results') >= 4
        browser.screenshot(tmp_path / 'inpaint.png')
    image, mask = read_editor(edits[-1])
    np.testing.assert_array_equal(image, actions.example(0, 16, 'cosine', 6, 1))
    assert mask[128, 128] and not mask[:64].any() and 0.05 < mask.mean() < 0.4
