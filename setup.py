"""Packaging of addp_mm."""
from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# What `mim` and mmpretrain's ModelHub look for in the folder `.mim` of an OpenMMLab library.
MIM_PARTS = ('configs', 'tools', 'model-index.yml')
IGNORED = shutil.ignore_patterns('__pycache__', '*.py[cod]')
# The address of the repository, https://github.com/OWNER/addp_mm, named when a release is built.
URL = os.environ.get('ADDP_MM_URL', '').rstrip('/')


def read_version() -> str:
    """Return the version without importing the package, which would need torch."""
    namespace: dict[str, str] = {}
    exec((ROOT / 'addp_mm' / 'version.py').read_text(encoding='utf-8'), namespace)
    return namespace['__version__']


def read_requirements(name: str) -> list[str]:
    """Return the requirement lines of ``requirements/<name>.txt``, comments left out."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def read_readme(url: str, version: str) -> str:
    """Return README.md as a package index can show it, outside of the repository.

    Paths become addresses of the release's tag below ``url``. Without an address a picture is left
    out and a link becomes its text. A checkout without README.md still installs.
    """
    readme = ROOT / 'README.md'
    text = readme.read_text(encoding='utf-8') if readme.is_file() else ''

    def address(match: re.Match[str]) -> str:
        mark, label, path = match.groups()
        if url:
            return f'{mark}[{label}]({url}/{"raw" if mark else "blob"}/v{version}/{path})'
        return '' if mark else label

    return re.sub(r'(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)', address, text)


def project_urls(url: str, version: str) -> dict[str, str]:
    """Return the links beside the description of a package index."""
    return {'Changelog': f'{url}/blob/v{version}/CHANGELOG.md', 'Issues': f'{url}/issues'}


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class BuildPyWithMim(build_py):
    """Fill ``addp_mm/.mim``: with copies in a wheel, with links in an editable install.

    setuptools itself says which of the two it builds (``editable_mode``). The usual OpenMMLab way,
    looking for ``develop`` in ``sys.argv``, misses the editable installs of PEP 660.
    """

    def run(self) -> None:
        """Build the package, then its ``.mim`` folder."""
        super().run()
        if self.editable_mode:
            self._link_mim(ROOT / 'addp_mm' / '.mim')
        else:
            self._copy_mim(Path(self.build_lib) / 'addp_mm' / '.mim')

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return the files of the build, those below ``.mim`` included."""
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        mim = Path(self.build_lib) / 'addp_mm' / '.mim'
        return outputs + [str(path) for path in mim.rglob('*') if path.is_file()]

    def _copy_mim(self, mim: Path) -> None:
        remove(mim)
        mim.mkdir(parents=True)
        for name in MIM_PARTS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, mim / name, ignore=IGNORED)
            else:
                shutil.copy2(ROOT / name, mim / name)

    def _link_mim(self, mim: Path) -> None:
        mim.mkdir(exist_ok=True)
        for name in MIM_PARTS:
            remove(mim / name)
            (mim / name).symlink_to(os.path.join('..', '..', name))


VERSION = read_version()
setup(
    name='addp_mm',
    version=VERSION,
    description='ADDP pre-training, image generation and dense prediction as an OpenMMLab plugin',
    long_description=read_readme(URL, VERSION),
    long_description_content_type='text/markdown',
    author='addp_mm contributors',
    url=URL or None,
    project_urls=project_urls(URL, VERSION) if URL else {},
    license_expression='Apache-2.0',
    license_files=['LICENSE'],
    keywords=[
        'ADDP', 'OpenMMLab', 'computer vision', 'self-supervised learning',
        'representation learning', 'image generation', 'diffusion', 'vector quantization',
        'object detection', 'semantic segmentation'
    ],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3 :: Only',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['addp_mm', 'addp_mm.*']),
    package_data={'addp_mm': ['py.typed']},
    python_requires='>=3.10',
    # The OpenMMLab libraries are an extra, never required: two stacks own the same files, and
    # installing onedl-mmengine beside mmengine overwrites its files without a word.
    install_requires=read_requirements('runtime'),
    extras_require={
        'onedl': read_requirements('onedl'),
        'stock': read_requirements('stock'),
        'mim': read_requirements('onedl'),      # the name that `mim install` looks for
        'optional': read_requirements('optional'),
        'tests': read_requirements('tests'),
        'docs': read_requirements('docs'),
        'all': [
            line for name in ('onedl', 'optional', 'tests', 'docs')
            for line in read_requirements(name)
        ],
    },
    cmdclass={'build_py': BuildPyWithMim},
    zip_safe=False,
)
