"""Forged certificates: what a forger does to an honest one, and what must come of it.

A forger recomputes the file's own digest each time, and where `state` is called also every figure, as plain float64
arithmetic gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from issuer import Array, Issued, canonical, pack_text

Forged = Issued | bytes


@dataclass(frozen=True)
class Attack:
    """forge: from an honest certificate. refused: names of checks of which one must fail; else named: a word of the
    point under "not checked" (or of the sentence) that says what the verifier cannot know."""

    forge: Callable[[Issued], Forged]
    refused: tuple[str, ...] = ()
    named: str = ""
    base: tuple[tuple[str, Any], ...] = ()


ATTACKS: dict[str, Attack] = {}


def attack(name: str, *refused: str, named: str = "", **base: Any) -> Callable[[Callable[[Issued], Forged]], None]:
    def add(forge: Callable[[Issued], Forged]) -> None:
        assert name not in ATTACKS
        ATTACKS[name] = Attack(forge, refused, named, tuple(base.items()))

    return add


def put(place: str, value: Any) -> Callable[[Issued], Issued]:
    """Set a field of the document; `value` may be a function of the honest one."""

    def change(issued: Issued) -> Issued:
        *path, last = (int(step) if step.lstrip("-").isdecimal() else step for step in place.split("."))
        target: Any = issued.document
        for step in path:
            target = target[step]
        present = isinstance(last, int) or last in target
        target[last] = value(target[last]) if callable(value) and present else value
        return issued

    return change


def edited(old: str, new: str) -> Callable[[Issued], bytes]:
    """The certificate's text with a replacement that no JSON writer would make."""

    def change(issued: Issued) -> bytes:
        text = canonical(issued.document)
        assert old in text
        return pack_text(text.replace(old, new, 1), issued.tensors)

    return change


def header(old: str, new: str) -> Callable[[Issued], bytes]:
    """The file's header with a replacement."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return lambda issued: pack_text(canonical(issued.document), issued.tensors, edit=edit)


def tensor(name: str, change: Callable[[Array], Array] | Array) -> Callable[[Issued], Issued]:
    def forge(issued: Issued) -> Issued:
        issued.tensors[name] = change(issued.tensors[name]) if callable(change) else change
        return issued

    return forge


def fields(cases: dict[str, tuple[str, Any, str]], **base: Any) -> None:
    for name, (place, value, check) in cases.items():
        attack(name, check, **base)(put(place, value))
