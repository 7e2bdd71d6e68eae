"""The documentation site: `make docs` builds docs/ and the reference into site/."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

import wdist

sys.path.insert(0, str(Path(__file__).parent))
import generate_reference as reference

project = "wdist"
author = "The wdist authors"
project_copyright = "2026, The wdist authors"
version = release = wdist.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
smartquotes = False  # 'auto' in a docstring is code
exclude_patterns = ["Thumbs.db"]
myst_enable_extensions = ["dollarmath", "attrs_block"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.xref_missing",  # links to the source tree; tests/docs/test_docs.py checks them
    "ref.python",  # library and client have errors of the same names
]

reference.write()
_api = [sys.executable, str(Path(__file__).with_name("generate_api.py"))]
subprocess.run(_api, check=True, stdout=subprocess.DEVNULL)  # noqa: S603

nb_execution_mode = "force"  # outputs are not kept in the repository: the site shows what a notebook prints today
nb_execution_timeout = 120
# Building the site fetches nothing: without a file of its data, this one is shown without outputs.
nb_execution_excludepatterns = [] if "WDIST_ELECTRICITY" in os.environ else ["notebooks/monitor.ipynb"]
nb_execution_raise_on_error = True
nb_merge_streams = True

html_theme = "furo"
html_title = "wdist"
autodoc_typehints = "description"
autodoc_member_order = "bysource"


def _contents(app: Sphinx, page: str, source: list[str]) -> None:
    """The pages that an index links to are its chapters: the navigation needs no second list."""
    if page in {f"reference/{name}" for name in reference.LISTS}:
        source[0] = reference.with_tables(source[0])
    elif page == "reference/command-line":
        source[0] = reference.with_commands(source[0])
    elif page == "README":
        # Each section that is a table of pages is a part of the navigation, under its heading.
        for text in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
            if pages := _linked("\n".join(re.findall(r"^\| \[.*", text, re.MULTILINE))):
                source[0] += reference.toctree(pages, text.partition("\n")[0])
    elif page.rpartition("/")[2] == "README":
        chapters = ["/api"] if page == "reference/README" else []  # written from the contract, and not kept in git
        source[0] += reference.toctree(_linked(source[0]) + chapters)


def _linked(text: str) -> list[str]:
    """The pages that a text links to in its own folder and below, each once."""
    return list(dict.fromkeys(re.findall(r"\]\((?!\.\./)([^):#]+)\.(?:md|ipynb)\)", text)))


def _plain(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: formulas such as |x| and H_ must not be taken for reStructuredText."""
    for i, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"([*|]|_(?!\w))", r"\\\1", text) for text in parts[::2]]
        lines[i] = "``".join(parts)


def _index(app: Sphinx, failure: Exception | None) -> None:
    """Pages are linked as README.md on code hosts; a web server wants index.html."""
    if failure is None and app.builder.name == "html":
        for page in Path(app.outdir).rglob("README.html"):
            shutil.copyfile(page, page.with_name("index.html"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", _contents)
    app.connect("autodoc-process-docstring", _plain, priority=400)  # before napoleon
    app.connect("build-finished", _index)
