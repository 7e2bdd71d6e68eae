"""The file that `Result.save` writes: one safetensors file with a JSON document in its header, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import wdist
from wdist.certificate.file import Certificate
from wdist.critics.critic import Critic, critic_from
from wdist.errors import WdistError
from wdist.files.durable import replace_file
from wdist.verify.container import CertificateError, read_container
from wdist.witness import Column, Witness
from wdist.witness.numbering import AMONG_KEPT

VERSION = 1
_KEY = "wdist_result"  # the one entry of the header, whose order safetensors does not keep
_FIGURES_ONLY = (
    "{path} holds figures without their critic: read it with wdist_client.Result.load, or write it again with `save` "
    "of the job"
)
_WITNESS = ("source_rows", "target_rows", "source_scores", "target_scores")


@dataclass(frozen=True)
class StoredResult:
    """What the file holds.

    Attributes:
        figures: the figures by name, without the critic, as plain JSON types.
        said: "verdict" and "meaning", for those who read the file without this library; it makes them from the figures.
        curve: the training curve.
        names: names of the sets.
        critic: the certified critic.
        certificate, witness: None if they were not kept.
    """

    figures: Mapping[str, Any]
    curve: list[dict[str, int | float]]
    names: tuple[str, str]
    critic: Critic
    certificate: Certificate | None
    witness: Witness | None
    said: Mapping[str, Any] = field(default_factory=dict)


def write_result(path: str | Path, result: StoredResult) -> None:
    """Write the file, atomically."""
    entry, tensors = result.critic.described()
    tensors = {f"critic.{name}": tensor for name, tensor in tensors.items()}
    document = {
        "version": VERSION,
        "library": wdist.__version__,
        "figures": dict(result.figures),
        "said": dict(result.said),
        "curve": result.curve,
        "names": list(result.names),
        "critic": entry,
    }
    if result.certificate is not None:
        tensors["certificate"] = torch.from_numpy(np.frombuffer(result.certificate.content, np.uint8).copy())
    if result.witness is not None:
        tensors |= {f"witness.{name}": torch.from_numpy(getattr(result.witness, name)) for name in _WITNESS}
        columns = [asdict(column) for column in result.witness.columns]
        told = result.witness.to_dict()
        document["witness"] = {name: told[name] for name in ("units", "means", "numbering")} | {
            "columns": columns,
            "told": told,
        }
    header = {_KEY: json.dumps(document)}
    replace_file(Path(path), save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=header))


def read_result(path: str | Path) -> StoredResult:
    """Read what `write_result` wrote.

    Raises WdistError for anything else, and for a file of a later format.
    """
    header, tensors = _opened(Path(path))
    if _KEY not in header:
        raise WdistError(f"{path} is not a result that wdist saved: give the file that result.save or --save wrote")
    try:
        document = json.loads(header[_KEY])
        if (version := document["version"]) != VERSION:
            raise WdistError(f"{path} holds result format {version}, this version of wdist reads {VERSION}")
        weights = {name.removeprefix("critic."): t for name, t in tensors.items() if name.startswith("critic.")}
        if "layers" not in document["critic"]:
            raise WdistError(_FIGURES_ONLY.format(path=path))
        return StoredResult(
            figures=document["figures"],
            curve=document["curve"],
            names=(document["names"][0], document["names"][1]),
            critic=critic_from(document["critic"], weights, str(path)),
            certificate=_certificate(tensors),
            witness=_witness(document, tensors),
        )
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, WdistError):
            raise
        raise WdistError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _opened(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors. Raises OSError if the file cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError:
        if path.read_bytes().startswith(b'{"format": "wdist client result"'):
            raise WdistError(_FIGURES_ONLY.format(path=path)) from None
        raise WdistError(
            f"{path} is not a result that wdist saved: give the file that result.save or --save wrote"
        ) from None


def _certificate(tensors: Mapping[str, Tensor]) -> Certificate | None:
    if (content := tensors.get("certificate")) is None:
        return None
    try:
        return Certificate(*read_container(content.numpy().tobytes()))
    except CertificateError as error:
        raise WdistError(f"the certificate in this file is damaged: {error}") from error


def _witness(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Witness | None:
    stored = document.get("witness")
    if stored is None or f"witness.{_WITNESS[0]}" not in tensors:  # a client has no scores of single rows
        return None
    rows_x, rows_y, scores_x, scores_y = (tensors[f"witness.{name}"].numpy() for name in _WITNESS)
    means = stored.get("means")
    if means is None and document["figures"]["groups"] is None:  # before the file had them, they were those of rows
        means = {"source": float(scores_x.mean()), "target": float(scores_y.mean())}
    columns = [Column(**each) for each in stored["columns"]]
    return Witness(
        rows_x, rows_y, scores_x, scores_y, columns, stored["units"], means, stored.get("numbering", AMONG_KEPT)
    )
