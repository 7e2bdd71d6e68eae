"""Reads tests/house/public_names.txt and says where it differs from the code, and from what CHANGELOG.md tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

CHANGED, REMOVED = "changed", "removed: "


@dataclass(frozen=True)
class Listing:
    """The listed names by section, and old -> new of those that have changed; both may end in * for many names."""

    sections: dict[str, list[str]] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)

    def change_of(self, name: str) -> str | None:
        """The line in [changed] that a name falls under: its own, else the most particular one with a *."""
        matching = [old for old in self.changes if old == name or (old[-1] == "*" and name.startswith(old[:-1]))]
        return max(matching, key=lambda old: (old == name, len(old)), default=None)

    def new_name_of(self, name: str) -> str | None:
        """What a changed name is called now; None where it was removed."""
        old = self.change_of(name)
        assert old is not None
        new = self.changes[old]
        if new.startswith(REMOVED):
            return None
        return new[:-1] + name[len(old) - 1 :] if old[-1] == new[-1] == "*" else new


def read(text: str) -> Listing:
    """Raises ValueError, with the line, for what is no list."""
    listing, section, names = Listing(), "", set[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[([\w ]+)\]", line):
            section = heading[1]
            if section != CHANGED:
                listing.sections[section] = []
        elif section == CHANGED:
            old, arrow, new = line.partition(" -> ")
            if not arrow or not new or new == REMOVED.strip():
                raise ValueError(f"line {number}: write `old -> new` or `old -> removed: reason`, not {line!r}")
            listing.changes[old] = new
        else:
            if section not in listing.sections:
                raise ValueError(f"line {number}: {line!r} stands before the first [section]")
            if listing.sections[section] and line <= listing.sections[section][-1]:
                raise ValueError(f"line {number}: {line!r} is not in its place: the names of a section are sorted")
            if line in names:
                raise ValueError(f"line {number}: {line!r} stands in two sections")
            listing.sections[section].append(line)
            names.add(line)
    return listing


def differences(listing: Listing, section: str, now: Set[str]) -> list[str]:
    """Where the names of a section are no longer, or not only, those of the list."""
    listed = set(listing.sections[section])
    gone = [name for name in sorted(listed - now) if listing.change_of(name) is None]
    added = sorted(now - listed)
    return [
        *(
            f"{name} is gone: bring it back, or say in [changed] what became of it, and in CHANGELOG.md"
            for name in gone
        ),
        *(f"{name} is new: add it to [{section}] of tests/house/public_names.txt" for name in added),
    ]


def change_faults(listing: Listing, now: Mapping[str, Set[str]], changelog: str) -> list[str]:
    """What is wrong with the lines in [changed]."""
    entries, found = _entries(changelog), []
    for old, new in listing.changes.items():
        found += [f"{old} -> {new}: {fault}" for fault in _faults(listing, old, now)]
        told = [old] if new.startswith(REMOVED) else [old, new]
        if not any(all(_names(entry, name) for name in told) for entry in entries):
            names = " and ".join(_as_told(name) for name in told)
            found.append(f"{old} -> {new}: no entry of CHANGELOG.md names {names}")
    return found


def _faults(listing: Listing, old: str, now: Mapping[str, Set[str]]) -> Iterator[str]:
    """What is wrong with one line, CHANGELOG.md apart."""
    listed = [(section, name) for section, names in listing.sections.items() for name in names]
    concerned = [(section, name) for section, name in listed if listing.change_of(name) == old]
    gone = [(section, name) for section, name in concerned if name not in now[section]]
    if not concerned:
        yield "no such name is listed: the old name stays in its section until the next release"
    elif not gone:
        yield "it is still there"
    for section, name in gone:
        new = listing.new_name_of(name)
        if new is not None and new not in listing.sections[section]:
            yield f"add {new} to [{section}]"
        elif new is not None and new not in now[section]:
            yield f"there is no {new}"


def _entries(changelog: str) -> list[str]:
    """Its items, each on one line, without the marks of code."""
    return [" ".join(entry.replace("`", "").split()) for entry in re.split(r"^(?=- |#)", changelog, flags=re.M)]


def _as_told(name: str) -> str:
    """How a name is written for people: module.name, and no *."""
    return re.sub(r"[.:]?\*$", "", name).replace(":", ".") if name.startswith("wdist") else name.rstrip("*")


def _names(entry: str, name: str) -> bool:
    """Whether the whole name stands there, and not as a part of a longer one."""
    return re.search(rf"(?<![\w.-]){re.escape(_as_told(name))}(?![\w*]|[.-]\w)", entry) is not None
