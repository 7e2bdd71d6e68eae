"""Writes one reference page for each public object and each command; conf.py calls it before the site is built.

The pages library.md and client.md of docs/reference list the objects, as directives of autodoc. Each of these, and each
member of a module that is listed as a whole, gets a page in reference/objects/. Each command gets a page in
reference/commands/ with its `--help`. Neither folder is kept in git.
"""

from __future__ import annotations

import inspect
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from cyclopts import App
from pydantic import BaseModel
from rich.console import Console

from wdist.cli.main import app as wdist_command

REFERENCE = Path(__file__).with_name("reference")
LISTS = ("library", "client")
OBJECTS, COMMANDS = REFERENCE / "objects", REFERENCE / "commands"
# The site's navigation on every page would list each of some 300 pages: they are reached from the lists instead.
_START = "---\norphan: true\n---\n\n<!-- written by docs/generate_reference.py; do not edit -->\n\n"
_BLOCK = re.compile(r"^```\{eval-rst\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(r"^\.\. auto(module|function|class):: ([\w.]+)\n((?:   :.*\n)*)", re.MULTILINE)
_MEMBERS = re.compile(r"^   :members:(.*)\n", re.MULTILINE)
_LEFT_OUT = re.compile(r"^   :exclude-members:(.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """An object that the reference lists: the name that people import it by, and how autodoc shows it."""

    name: str
    kind: str  # function, class or data
    options: str

    @property
    def object(self) -> Any:
        module, _, name = self.name.rpartition(".")
        return getattr(import_module(module), name)

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, safe in a table."""
        text = " ".join((inspect.getdoc(self.object) or "").partition("\n\n")[0].split())
        sentence = re.match(r".*?[.?!](?= [A-Z`]|$)", text)
        return (sentence.group() if sentence else text).replace("|", "\\|")

    def page(self, parent: str) -> str:
        """The page as Markdown, with a link to the list that it belongs to."""
        directive = f".. auto{self.kind}:: {self.name}\n{self.options}"
        back = f"[All objects of this reference](../{parent}.md)"
        return f"{_START}# {self.name}\n\n{back}\n\n```{{eval-rst}}\n{directive}```\n{_fields(self.object)}"


def entries(block: str) -> Iterator[Entry]:
    """The objects that the directives of one block list."""
    for kind, path, options in _DIRECTIVE.findall(block):
        if kind != "module":
            yield Entry(_shortest(path), kind, options)
            continue
        module = import_module(path)
        listed, left_out = _names(_MEMBERS, options), _names(_LEFT_OUT, options)
        for name in listed or [name for name in _public(module) if name not in left_out]:
            found = getattr(module, name)
            if inspect.isclass(found):
                yield Entry(_shortest(f"{path}.{name}"), "class", _MEMBERS.sub("   :members:\n", options))
            else:
                yield Entry(_shortest(f"{path}.{name}"), "function" if callable(found) else "data", "")


def table(block: str) -> str:
    """The objects of one block as a table that links to their pages."""
    rows = [f"| [`{each.name}`](objects/{each.name}.md) | {each.summary} |" for each in entries(block)]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def with_tables(source: str) -> str:
    """A list page as the site shows it: tables of links in the place of the directives."""
    return _BLOCK.sub(lambda block: table(block.group(1)), source)


def with_commands(source: str) -> str:
    """The page of the commands with a table of all of them."""
    rows = [f"| [`{prog}`](commands/{_file(prog)}.md) | {summary} |" for prog, summary, _ in commands()]
    return "\n".join([source, "| command | |", "| --- | --- |", *rows, ""])


def toctree(chapters: list[str], caption: str = "") -> str:
    """A directive that puts pages into the navigation, without showing them in the text."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *chapters, "```", ""])


def commands(
    prog: str = "wdist", app: App = wdist_command, tokens: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, str]]:
    """(command, its first line, its help) of `wdist` and everything below it."""
    shown = io.StringIO()
    wdist_command.help_print(list(tokens), console=Console(file=shown, width=100, color_system=None))
    text = "\n".join(line.rstrip() for line in shown.getvalue().splitlines()).strip()
    summary = " ".join(text.split("\n\n")[1].split()).replace("|", "\\|")
    yield prog, summary, text
    for name, below in app.resolved_commands().items():
        if not name.startswith("-"):
            yield from commands(f"{prog} {name}", below, (*tokens, name))


def _names(option: re.Pattern[str], options: str) -> list[str]:
    return [name.strip() for found in option.findall(options) for name in found.split(",") if name.strip()]


def _file(prog: str) -> str:
    return prog.replace(" ", "-")


def _shortest(path: str) -> str:
    """The name by which an object is imported: `wdist.Result`, not `wdist.result.Result`."""
    module, _, name = path.rpartition(".")
    package = path.partition(".")[0]
    if name in import_module(package).__all__ and getattr(import_module(package), name) is getattr(
        import_module(module), name
    ):
        return f"{package}.{name}"
    return path


def _public(module: Any) -> list[str]:
    """The names that a module offers, in the order of its source."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    here = [
        name
        for name, found in vars(module).items()
        if not name.startswith("_") and getattr(found, "__module__", None) == module.__name__ and inspect.getdoc(found)
    ]
    return [name for name in here if inspect.isclass(vars(module)[name]) or inspect.isfunction(vars(module)[name])]


def _fields(found: Any) -> str:
    """What the fields of a record say of themselves, where the docstring does not."""
    if not (inspect.isclass(found) and issubclass(found, BaseModel)) or "Attributes:" in (found.__doc__ or ""):
        return ""
    told = {name: field.description for name, field in found.model_fields.items() if field.description}
    if not told:
        return ""
    lines = ["", "| field | what it is |", "| --- | --- |"]
    lines += [f"| `{name}` | {' '.join(words.split())} |".replace(" | |", " |") for name, words in told.items()]
    return "\n".join(lines) + "\n"


def write() -> None:
    """Write all pages anew."""
    for folder in (OBJECTS, COMMANDS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for page in LISTS:
        for block in _BLOCK.findall((REFERENCE / f"{page}.md").read_text()):
            for each in entries(block):
                (OBJECTS / f"{each.name}.md").write_text(each.page(page))
    for prog, _, text in commands():
        back = "[All commands](../command-line.md)"
        (COMMANDS / f"{_file(prog)}.md").write_text(f"{_START}# {prog}\n\n{back}\n\n```text\n{text}\n```\n")


if __name__ == "__main__":
    write()
