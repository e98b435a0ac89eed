"""The pages: their links lead somewhere, the files they name exist, their tables are narrow."""
from __future__ import annotations

import re
import runpy
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path for pattern in ('*.md', '.github/*.md', 'docs/**/*.md', 'benchmarks/*.md',
                         'projects/**/*.md')
    for path in ROOT.glob(pattern) if '_build' not in path.parts)
MAX_TABLE_WIDTH = 110
FOLDERS = 'addp_mm|benchmarks|configs|docs|notebooks|projects|requirements|tests|tools'
ENDINGS = 'py|sh|md|txt|yml|png|ipynb'
NAMED_FILE = re.compile(rf'(?<![\w/.-])(?:{FOLDERS})/[\w/.{{}},*-]*\.(?:{ENDINGS})\b')


def pages_by_name(pages: list[Path]) -> list:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def without_code(text: str) -> str:
    """A page without its fenced and inline code."""
    text = re.sub(r'^```.*?^```', '', text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r'`[^`\n]*`', '', text)


def links(page: Path) -> list[str]:
    """What the links and pictures of a page lead to, except other sites."""
    targets = re.findall(r'\]\(([^)\s]+)\)', without_code(page.read_text(encoding='utf-8')))
    return [target for target in targets if not re.match(r'[a-z]+:', target)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r'^```.*?^```', '', page.read_text(encoding='utf-8'),
                  flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).strip().replace(' ', '-')
            for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    broken = []
    for target in links(page):
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or anchor and anchor not in anchors(file):
            broken.append(target)
    return broken


def expand_braces(name: str) -> list[str]:
    """``a_{b,l}.py`` as ``a_b.py`` and ``a_l.py``."""
    parts = re.split(r'\{([^{}]*)\}', name)
    options = [part.split(',') if i % 2 else [part] for i, part in enumerate(parts)]
    return [''.join(choice) for choice in product(*options)]


def missing_files(page: Path) -> list[str]:
    """The files of the repository that a page names and that are not there."""
    # Not in links, which have a test of their own.
    text = re.sub(r'\]\([^)]*\)', ']', page.read_text(encoding='utf-8'))
    named = {name for match in NAMED_FILE.findall(text) for name in expand_braces(match)}
    return sorted(name for name in named if not any(ROOT.glob(name)))


def known_flags() -> set[str]:
    """The flags that the commands of this repository define, some of them made of names."""
    sources = [path for folder in ('tools', 'benchmarks', 'projects', 'addp_mm')
               for path in (ROOT / folder).rglob('*.py') if '.mim' not in path.parts]
    return {f'--{name}' for path in sources
            for name in re.findall(r"'(?:--)?([a-z][a-z-]*)'", path.read_text(encoding='utf-8'))}


def unknown_flags(page: Path, known: set[str]) -> list[str]:
    """The flags that a page gives to the repository's commands and that none of them knows."""
    text = page.read_text(encoding='utf-8').replace('\\\n', ' ')
    commands = re.findall(
        r'(?<![\w/$.-])(?:tools|benchmarks|projects)/[\w/]+\.(?:py|sh)([^`#\n]*)', text)
    named = {flag for command in commands for flag in re.findall(r'(?<!\S)(--[a-z-]+)', command)}
    return sorted(named - known)


def wide_rows(page: Path) -> list[str]:
    """The rows of a page's tables that are too wide."""
    lines = page.read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line.startswith('|') and len(line) > MAX_TABLE_WIDTH]


@pytest.mark.parametrize('page', pages_by_name(PAGES))
def test_links_lead_somewhere(page: Path):
    assert broken_links(page) == []


@pytest.mark.parametrize('page', pages_by_name(PAGES))
def test_named_files_exist(page: Path):
    assert missing_files(page) == []


@pytest.mark.parametrize('page', pages_by_name(PAGES))
def test_named_flags_exist(page: Path):
    assert unknown_flags(page, known_flags()) == []


@pytest.mark.parametrize('page', pages_by_name(PAGES))
def test_tables_are_narrow(page: Path):
    assert wide_rows(page) == []


def test_readme_leads_to_the_documentation():
    assert 'docs/index.md' in links(ROOT / 'README.md')


def test_architecture_lists_the_layers_in_their_order():
    page = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
    table = page.partition('## The storeys')[2].partition('\n## ')[0]
    listed = [name for row in re.findall(r'^\| (`.*?) \|', table, re.MULTILINE)
              for name in re.findall(r'`(\w+)`', row)]
    layers = runpy.run_path(str(ROOT / 'tests/test_layers.py'))['LAYERS']
    assert listed == [layer for layer in layers if layer and '.' not in layer]


def test_every_folder_that_exports_names_has_a_page_of_the_api():
    folders = {path.parent.name for path in (ROOT / 'addp_mm').glob('*/__init__.py')
               if '__all__' in path.read_text(encoding='utf-8')}
    assert folders <= {path.stem for path in (ROOT / 'docs/api').glob('*.md')}


def test_what_is_wrong_is_found(tmp_path: Path):
    page = tmp_path / 'page.md'
    page.write_text('# A title, or two\n\n[up](#a-title-or-two) [no](#nothing) [gone](gone.md)\n'
                    '`tools/no_such_{a,b}.py` `tools/train.py` [x](https://example.org/y)\n\n'
                    '    python tools/train.py CONFIG \\\n'
                    '        --no-such-flag --work-dir x # --not\n\n'
                    f'|{"-" * 120}|\n|{"-" * 20}|\n')
    assert broken_links(page) == ['#nothing', 'gone.md']
    assert missing_files(page) == ['tools/no_such_a.py', 'tools/no_such_b.py']
    assert unknown_flags(page, known_flags()) == ['--no-such-flag']
    assert len(wide_rows(page)) == 1
