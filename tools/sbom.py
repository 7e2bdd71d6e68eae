"""Writes what a server is made of, as a CycloneDX bill of materials: every package, its version, licence and needs.

    make sbom        build/wdist.cdx.json, of `wdist[server]` as it is installed here, and of what its wheel carries

Two runs on the same packages write the same bytes, so that two releases can be compared.
"""

from __future__ import annotations

import json
import sys
import uuid
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTION, EXTRA = "wdist", "server"
_SWAGGER_UI = ROOT / "service/wdist_service/api_browser/static/swagger-ui/README.md"
_NAMESPACE = uuid.UUID("0c9ad4a2-4a47-5f4e-9f0e-3f4dd1b1a8c5")


def needs(found: Distribution, extras: frozenset[str]) -> list[Requirement]:
    """What a distribution with these extras needs on this machine."""
    wanted = [Requirement(line) for line in found.requires or ()]
    return [
        each
        for each in wanted
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras or {""})
    ]


class Bill:
    """The components that one distribution brings, and which needs which."""

    def __init__(self, name: str, extra: str) -> None:
        self.bom = Bom()
        self._components: dict[str, Component] = {}
        self._done: set[tuple[str, frozenset[str]]] = set()
        root = self._add(name, frozenset({extra, ""}), ComponentType.APPLICATION)
        self.bom.metadata = BomMetaData(component=root)
        self.bom.components.remove(root)
        self.bom.components.add(shipped := swagger_ui())
        self.bom.register_dependency(root, [shipped])
        parts = "\n".join(sorted(str(component.purl) for component in (root, *self.bom.components)))
        self.bom.serial_number = uuid.uuid5(_NAMESPACE, parts)

    def _add(self, name: str, extras: frozenset[str], kind: ComponentType = ComponentType.LIBRARY) -> Component:
        """The component of a distribution, with all that it needs. Raises PackageNotFoundError if one is missing."""
        found, key = distribution(name), canonicalize_name(name)
        if (component := self._components.get(key)) is None:
            component = self._components[key] = _component(found, kind)
            self.bom.components.add(component)
        if (key, extras) not in self._done:
            self._done.add((key, extras))
            needed = [self._add(each.name, frozenset({*each.extras, ""})) for each in needs(found, extras)]
            self.bom.register_dependency(component, needed)
        return component


def _component(found: Distribution, kind: ComponentType) -> Component:
    name = canonicalize_name(found.metadata["Name"])
    version = Version(found.version).public  # without +cpu, which a package index does not know
    purl = PackageURL("pypi", name=name, version=version)
    return Component(name=name, version=version, type=kind, purl=purl, bom_ref=str(purl), licenses=_licenses(found))


def _licenses(found: Distribution) -> list[DisjunctiveLicense]:
    """The licence as the package states it: an SPDX expression, a name, or else its classifiers."""
    stated = found.metadata["License-Expression"] or found.metadata["License"]
    if stated and "\n" not in stated:
        return [DisjunctiveLicense(name=stated)]
    marked = [line for line in found.metadata.get_all("Classifier") or () if line.startswith("License :: ")]
    return [DisjunctiveLicense(name=line.rsplit(" :: ", 1)[1]) for line in marked]


def swagger_ui() -> Component:
    """What lies in the package itself and comes from elsewhere; the file beside it names the version."""
    version = _SWAGGER_UI.read_text().splitlines()[0].removeprefix("# Swagger UI ")
    purl = PackageURL("npm", name="swagger-ui-dist", version=version)
    licenses = [DisjunctiveLicense(name="Apache-2.0")]
    return Component(name="swagger-ui-dist", version=version, purl=purl, bom_ref=str(purl), licenses=licenses)


def bill_of_materials() -> str:
    """The bill of `wdist[server]` as JSON of CycloneDX 1.6."""
    bill = json.loads(JsonV1Dot6(Bill(DISTRIBUTION, EXTRA).bom).output_as_string())
    del bill["metadata"]["timestamp"]
    return json.dumps(bill, indent=2, sort_keys=True) + "\n"


def main() -> int:
    path = ROOT / "build" / "wdist.cdx.json"
    try:
        text = bill_of_materials()
    except PackageNotFoundError as error:
        sys.stderr.write(f"{error.name} is not installed here: run `make setup` first\n")
        return 1
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
