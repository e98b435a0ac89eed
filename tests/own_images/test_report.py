"""Names of files stand in the report as they are."""
from __future__ import annotations

from addp_mm.own_images.report import escaped


def test_names_of_files_are_no_markdown():
    name = '![x](http://evil)<b>_a_ `c` | *d*\n# title $e$'
    shown = escaped(name)
    assert shown == (r'\!\[x\](http://evil)\<b\>\_a\_ \`c\` \| \*d\* \# title \$e\$')
    assert escaped('plain name-1.png') == 'plain name-1.png'
