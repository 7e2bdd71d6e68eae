"""Warnings on the page: each of the library has a button, stands beside the figures, or is words only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import wdist
import wdist_service.page

LIBRARY = Path(wdist.__file__).parent
OTHER = {"paper", "cli", "planning"}  # no part of an estimate
MAKERS = re.compile(
    r"_?warnings|_?warnings_|.*_warnings$|_warnings_of_.*|_below|_caveats|_recurring|_note_contradiction"
)
CONSTANTS = {"ENDED_EARLY", "PAUSED"}

WORDS_ONLY = {
    "every row is the same (a point mass)",
    "finer differences are lost",
    "training hardly sees how they differ",
    "columns differ in scale by a factor",  # it ends with one of two kinds of advice: of standardize, and this
    "check the factors",
    "but is constant in the select rows",
    "rows are distinct; if these are copies",
    "test rows are equal to rows that the critic was fitted on",
    "also occur in",
    "no more than rows of one set coincide",
    "in common: if the levels are only spelled differently",
    "may only spell differently",
    "a value of its own in every row",  # the form before a run has a button that leaves the column out
    "have a zone in",
    "was not finite",
    "upper_bound assumes that no two possible rows",
    "contradict each other",
    "there is no upper bound",
    "was paused",
}


def text_of(node: ast.expr) -> str | None:
    """A string as it is written, whatever is put in it as {}; None for what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return f"{text_of(node.left) or '{}'}{text_of(node.right) or '{}'}"
    return None


def warnings_of(tree: ast.Module) -> Iterator[str]:
    """Texts in lists of functions that make warnings, texts appended to lists of warnings, and constants of both."""
    for node in ast.walk(tree):
        given: list[ast.expr] = []
        if isinstance(node, ast.FunctionDef) and MAKERS.fullmatch(node.name):
            for part in ast.walk(node):
                given += part.elts if isinstance(part, ast.List) else appended(part)
        elif any(ast.unparse(each).endswith("warnings") for each in lists_of(node)):
            given += appended(node)
        elif isinstance(node, ast.Assign) and {ast.unparse(each) for each in node.targets} & CONSTANTS:
            given.append(node.value)
        yield from filter(None, map(text_of, given))


def appended(node: ast.AST) -> list[ast.expr]:
    """What a call of append adds."""
    return node.args if isinstance(node, ast.Call) and lists_of(node) else []


def lists_of(node: ast.AST) -> list[ast.expr]:
    """The list that a call of append adds to, if it is one."""
    is_append = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append"
    return [node.func.value] if is_append else []


def phrases(name: str, pattern: str) -> set[str]:
    """What a table of advice.js looks for."""
    script = (Path(wdist_service.page.__file__).parent / "advice.js").read_text()
    return set(re.findall(pattern, script.split(f"{name} = [", 1)[1].split("];\n", 1)[0]))


def test_every_warning_of_the_library_is_known_to_the_page() -> None:
    trees = [ast.parse(path.read_text()) for path in LIBRARY.rglob("*.py") if OTHER.isdisjoint(path.parts)]
    known = phrases("ADVICE", r'(?m)^  \["([^"]+)"') | phrases("EXPLAINED", r'"([^"]+)"') | WORDS_ONLY
    unknown = {text for tree in trees for text in warnings_of(tree) if not any(phrase in text for phrase in known)}
    assert not unknown, "name these in ADVICE or EXPLAINED of page/advice.js, or in WORDS_ONLY here"
    said = {text_of(node) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.expr)} - {None}
    assert {phrase for phrase in known if not any(phrase in str(text) for text in said)} == set()
