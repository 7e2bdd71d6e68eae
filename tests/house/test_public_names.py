"""What people may rely on stays, or CHANGELOG.md says what became of it: the code's names against public_names.txt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from names import listing as listings
from names import programs, python, server, source
from names.listing import change_faults, differences

HERE = Path(__file__).resolve().parent
LISTING = listings.read((HERE / "public_names.txt").read_text())
SECTIONS: dict[str, Callable[[], set[str]]] = {
    "imports": lambda: python.imports(LISTING.sections["imports"]),
    "library": python.library,
    "client": python.client,
    "commands": programs.commands,
    "exit statuses": programs.exit_statuses,
    "modules": source.runnable_modules,
    "settings": server.settings,
    "variables": source.variables,
    "operations": server.operations,
    "headers": server.headers,
    "fields": server.fields,
    "problems": server.problem_types,
    "metrics": server.metrics,
    "logs": server.logs,
    "queue": server.queue,
    "tables": server.tables,
    "installation": server.installation,
    "formats": python.formats,
    "distributions": source.distributions,
}


def test_each_section_of_the_list_is_compared() -> None:
    assert set(LISTING.sections) == set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_names_are_those_of_the_list(section: str) -> None:
    now = SECTIONS[section]()
    assert now, f"no name of {section} was found at all"
    found = differences(LISTING, section, now)
    assert not found, "\n".join(found)


def test_each_import_that_is_offered_works() -> None:
    broken = sorted(name for name in python.offered_imports() if not python.is_importable(name))
    assert not broken, f"the documentation, or __all__, names {', '.join(broken)}"


def test_what_became_of_changed_names_is_told() -> None:
    now = {section: names() for section, names in SECTIONS.items()} if LISTING.changes else {}
    changelog = (HERE.parents[1] / "CHANGELOG.md").read_text()
    found = change_faults(LISTING, now, changelog)
    assert not found, "\n".join(found)


def test_a_flag_that_is_gone_and_one_that_is_new_are_named() -> None:
    now = programs.commands() - {"wdist estimate --seed"} | {"wdist estimate --sneed"}
    found = differences(LISTING, "commands", now)
    assert any(text.startswith("wdist estimate --seed is gone") for text in found)
    assert "wdist estimate --sneed is new: add it to [commands] of tests/house/public_names.txt" in found


def test_an_import_that_does_not_work_is_gone() -> None:
    listed = {"wdist:estimate_w1", "wdist:estimate_w3", "wdist.no_such_module", "wdist:Result.no_such_member"}
    assert python.imports(listed) & listed == {"wdist:estimate_w1"}


SMALL = """
[imports]
wdist.a:f
wdist.a:g
wdist.b:f
wdist.b:g
wdist.c:f

[commands]
wdist go --fast
wdist go --slow

[changed]
"""
NOW = {"imports": {"wdist.b:f", "wdist.b:g"}, "commands": {"wdist go --slow"}}


@pytest.mark.parametrize(
    ("changed", "changelog", "faults"),
    [
        ("wdist.a:* -> wdist.b:*", "- Moved: `wdist.a` is\n  `wdist.b`.", []),
        ("wdist.a:* -> wdist.b:*", "- `wdist.a` is old.\n- `wdist.b` is new.", ["names wdist.a and wdist.b"]),
        ("wdist.a:* -> wdist.b:*", "- `wdist.a.f` is now `wdist.b.f`.", ["names wdist.a and wdist.b"]),
        ("wdist.a* -> wdist.b*", "- `wdist.a` is now `wdist.b`.", []),
        ("wdist.a:f -> wdist.b:f", "- `wdist.a.f` is now `wdist.b.f`.", []),
        ("wdist.a:f -> wdist.c:f", "- `wdist.a.f` is now `wdist.c.f`.", ["there is no wdist.c:f"]),
        ("wdist go --fast -> wdist go --slow", "- `wdist go --fast` is `wdist go --slow`.", []),
        ("wdist go --fast -> wdist go --slow", "- `wdist go --faster` is `wdist go --slow`.", ["no entry"]),
        ("wdist go --fast -> removed: never worked", "- `wdist go --fast` is gone.", []),
        ("wdist go --fast -> removed: never worked", "- Better.", ["names wdist go --fast"]),
        ("wdist go --slow -> removed: too slow", "- `wdist go --slow` is gone.", ["it is still there"]),
        ("wdist.b* -> wdist.c*", "- `wdist.b` is now `wdist.c`.", ["it is still there"]),
        ("wdist go --far -> removed: too far", "- `wdist go --far` is gone.", ["no such name is listed"]),
    ],
)
def test_a_change_is_checked(changed: str, changelog: str, faults: list[str]) -> None:
    found = change_faults(listings.read(SMALL + changed), NOW, f"# Changelog\n\n{changelog}\n")
    assert len(found) == len(faults)
    assert all(fault in text for fault, text in zip(faults, found, strict=True))


def test_a_new_name_has_to_be_listed_where_the_old_one_is() -> None:
    listing = listings.read("[imports]\nwdist.a:f\n[changed]\nwdist.a:f -> wdist.b:f")
    (fault,) = change_faults(listing, {"imports": {"wdist.b:f"}}, "- `wdist.a.f` is now `wdist.b.f`.")
    assert fault.endswith("add wdist.b:f to [imports]")
    assert differences(listing, "imports", {"wdist.b:f"}) == [
        "wdist.b:f is new: add it to [imports] of tests/house/public_names.txt"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[imports]\nb\na", "line 3: 'a' is not in its place"),
        ("[imports]\na\na", "line 3: 'a' is not in its place"),
        ("[imports]\na\n[commands]\na", "line 4: 'a' stands in two sections"),
        ("a", "before the first"),
        ("[changed]\na", "line 2: write"),
        ("[changed]\na -> removed:", "line 2: write"),
    ],
)
def test_a_list_out_of_order_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listings.read(text)
