"""A trained critic: its scores, its gradient, its proven Lipschitz bound, and its files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn

from wdist.critics.base import CriticConfig
from wdist.critics.frozen import describe, restore
from wdist.critics.registry import find_family
from wdist.data.columns import check_names
from wdist.data.samples import SampleSet, open_samples
from wdist.data.scaling import Scaling
from wdist.data.sources.advice import without_advice
from wdist.data.sources.files import FileRows
from wdist.data.tables.encoding import Encoding, levels_not_known
from wdist.definitions.reading import Selection
from wdist.definitions.results.reprs import in_a_line
from wdist.errors import OptionError, SampleError, WdistError
from wdist.nn.lipschitz import Step, composed, steps
from wdist.nn.rounding import RoundingAnalysis, converted
from wdist.nn.torch_state import own_torch_state

FORMAT = 1
_BLOCK_BYTES = 32 << 20  # rows are evaluated in blocks of about this size (float64)
_SLOPE_ROWS = 2_000  # rows whose gradients are computed at once


@dataclass(frozen=True)
class CriticInput:
    """The input that a critic takes: rows as the user has them, before any conversion.

    Attributes:
        row_shape: shape of one row as the net sees it, (d,) or (channels, height, width).
        layout: 'nhwc', 'nchw' or None, for images.
        uint8: whether grey levels 0..255 are expected (and divided by 255).
        scale: the requested rescaling, as `Scaling.to_json` returns it.
        columns: names of a table's columns, in order, or None if they are not known.
        recipe: how files became these rows, {"reading", "encoding", "category_cost"}; None if they hold plain numbers
            and were read without options. "reading" has the fields of `wdist.definitions.reading.Reading` that are not
            the default; "encoding" is what `wdist.data.tables.encoding.Encoding` stores, or null.
    """

    row_shape: tuple[int, ...]
    layout: str | None
    uint8: bool
    scale: Any
    columns: Sequence[str] | None = None
    recipe: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, source: SampleSet, target: SampleSet, scaling: Scaling) -> CriticInput:
        """The input of a critic that is trained on these sets, of which one may have names for the columns of both."""
        encoding = source.encoding
        columns = (source.names or target.names) if encoding is None else encoding.schema.names
        return cls(
            source.row_shape, source.layout, source.divisor != 1, scaling.to_json(), columns, _recipe(source, scaling)
        )  # fmt: skip

    @property
    def encoding(self) -> Encoding | None:
        """How codes of a table become rows; None where rows are plain numbers."""
        stored = None if self.recipe is None else self.recipe["encoding"]
        return None if stored is None else Encoding.from_json(stored)

    @property
    def take(self) -> Selection:
        """The selection by which files and frames are read. What the critic does not take may be there or not."""
        given = Selection(**({} if self.recipe is None else self.recipe["reading"]))
        return given.for_more(self.columns, leaves_others=True)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, without columns and recipe, which no computation needs; with the kinds of columns."""
        stored = asdict(self) | {"row_shape": list(self.row_shape)}
        del stored["columns"], stored["recipe"]
        return (
            stored
            if (encoding := self.encoding) is None
            else stored | {"kinds": [list(block) for block in encoding.blocks]}
        )


def _recipe(source: SampleSet, scaling: Scaling) -> dict[str, Any] | None:
    reading = source.take.model_dump(mode="json", exclude={"labels"}, exclude_defaults=True)
    if source.encoding is None and not reading:
        return None
    encoding = None if source.encoding is None else source.encoding.to_json()
    return {"reading": reading, "encoding": encoding, "category_cost": scaling.category_cost}


class Critic:
    """A trained potential f with a proven Lipschitz bound, signed so that E_Q f - E_P f is large."""

    def __init__(self, config: CriticConfig, module: nn.Sequential, takes: CriticInput) -> None:
        self.family = config.family
        self.settings = config
        self.module = module
        self.takes = takes
        self._double: nn.Sequential | None = None
        self._steps: list[Step] | None = None
        self._analysis: RoundingAnalysis | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The family's configuration as plain JSON types."""
        return self.settings.to_json()

    @property
    def lipschitz_bound(self) -> float:
        """L >= Lip(f), proven in float64 from the stored weights, with respect to the rows after rescaling."""
        return composed(self._proven())

    @own_torch_state()
    def scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """f at rows after scaling, (n, *row_shape) -> (n,), computed in float64 on the CPU in blocks."""
        module, out = self._in_double(), np.empty(len(rows))
        with torch.inference_mode():
            for part in self._blocks(len(rows)):
                out[part] = module(_tensor(rows[part])).reshape(-1).numpy()
        return out

    @own_torch_state()
    def scores_and_rounding(
        self, rows: NDArray[np.float64], error: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """f at rows in the net's own form, (n, *row_shape) -> (n,), as `scores`, and how far each may be off, (n,).

        error: how far each row may be from the one that is meant, in Euclidean norm, (n,). A computed score is within
        its bound of f at the meant row in exact arithmetic, where |f(x) - f(y)| <= L ||x - y|| holds. A bound is
        infinite where a value overflows.

        Raises UnprovenError for layers without a rounding bound.
        """
        if self._analysis is None:
            self._analysis = RoundingAnalysis(self._in_double(), self.takes.row_shape, proven=self._proven())
        out, rounding = np.empty(len(rows)), np.empty(len(rows))
        with torch.inference_mode():
            for part in self._blocks(len(rows)):
                score, bound = self._analysis.forward(_tensor(rows[part]), _tensor(error[part]))
                out[part], rounding[part] = score.reshape(-1).numpy(), bound.numpy()
        return out, rounding

    def _blocks(self, n: int) -> list[slice]:
        step = max(1, _BLOCK_BYTES // (8 * max(1, int(np.prod(self.takes.row_shape)))))
        return [slice(start, start + step) for start in range(0, n, step)]

    def _in_double(self) -> nn.Sequential:
        if self._double is None:
            self._double = converted(self.module)
        return self._double

    def _proven(self) -> list[Step]:
        """The layers with their bounds, proven once: L needs them, and so does rounding."""
        if self._steps is None:
            self._steps = steps(self._in_double(), self.takes.row_shape)
        return self._steps

    @own_torch_state()
    def slopes(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gradient of f at rows in the net's own form: (n, *row_shape), norm at most L."""
        return np.concatenate([self._slopes(rows[i : i + _SLOPE_ROWS]) for i in range(0, len(rows), _SLOPE_ROWS)])

    def _slopes(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        x = _tensor(rows).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self._in_double()(x).sum(), x)
        values: NDArray[np.float64] = gradient.numpy()
        return values

    def evaluate(self, rows: ArrayLike) -> NDArray[np.float64]:
        """f at rows as the user has them (same shape, dtype kind and units as the sample sets): (n,), float64.

        Tables are read as the sample sets were, and may have more columns, where these have names. Levels that neither
        set had are one point to the critic; so are those that it was not trained on. Rows of mixed tables may also be
        given encoded, as `wdist encode` writes them.
        There is one score for each row, in their order: NaN for a row with a missing value, where the sample sets were
        read with missing="drop".

        Raises:
            SampleError: when the rows have another shape or dtype than the critic's sample sets, columns of other
                names or in another order, or values that are not finite.
        """
        samples = self._opened(rows)
        scores = self.scores(Scaling.from_json(self.takes.scale).apply(samples.rows(slice(None))))
        return scores if samples.kept is None else samples.kept.spread(scores)

    def gradient(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Gradient of f at rows as the user has them: (n, *row_shape), float64.

        For images it is taken with respect to pixels in [0, 1], as (n, c, h, w). Without a scale its norm is at most
        `lipschitz_bound`. At a kink it is the gradient of one of the pieces. Rows without a score have NaN.

        Raises:
            SampleError: as in `evaluate`.
        """
        scale, samples = Scaling.from_json(self.takes.scale), self._opened(rows)
        slopes = self.slopes(scale.apply(samples.rows(slice(None)))) / scale.divisor
        return slopes if samples.kept is None else samples.kept.spread(slopes)

    def _opened(self, rows: ArrayLike) -> SampleSet:
        shape = self.takes.row_shape
        take: Selection | None = self.takes.take
        if not isinstance(rows, str | Path) and not hasattr(rows, "columns"):  # there are no names to choose by
            take = Selection(missing="drop") if self.takes.take.missing == "drop" else None
        try:
            samples = open_samples(rows, "rows", self.takes.layout, take=None if isinstance(rows, FileRows) else take)
        except OptionError:  # about a layout, which only rows of another kind leave open
            kind = "tables" if len(shape) == 1 else "images"
            raise SampleError(f"rows: this critic takes {kind} with rows of shape {shape}; give such rows") from None
        except SampleError as error:
            wrong, options = without_advice(str(error))
            if not options:
                raise
            raise SampleError(f"{wrong}. Rows are read as the sets of the critic were: mend these") from error
        names = samples.names
        if names is None and hasattr(rows, "columns"):  # a frame whose columns nobody named is no array
            names = [str(k) for k in range(samples.dimension)]
        check_names(self.takes.columns, names, "the critic", "the rows", by_position=True)
        if (encoding := self.takes.encoding) is not None:
            samples = _encoded(samples, encoding)
        if samples.row_shape != shape:
            advice = f"; a single row is an array of shape {(1, *shape)}" if samples.array.ndim == len(shape) else ""
            raise SampleError(f"rows have shape {samples.row_shape}, this critic takes {shape}{advice}")
        if (samples.divisor != 1) != self.takes.uint8:
            wanted = "uint8 grey levels" if self.takes.uint8 else "floating-point values"
            raise SampleError(f"rows are {samples.dtype}, this critic takes {wanted}: convert the rows")
        _ = samples.statistics  # refuses values that are not finite
        return samples

    def __repr__(self) -> str:
        rows = " x ".join(map(str, self.takes.row_shape))
        return in_a_line(f"<Critic {self.family}, of rows of shape {rows}: {self.config}>")

    def save(self, directory: str | Path) -> None:
        """Write critic.safetensors (weights) and critic.json (architecture, input, bound) into a directory."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        document, tensors = self.described()
        # Not `save_file`, which tells of a full disk with an error of its own, in words only.
        (folder / "critic.safetensors").write_bytes(save(tensors))
        (folder / "critic.json").write_text(json.dumps(document, indent=1) + "\n")

    def described(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The critic as a JSON document (architecture, input, bound) and tensors; `critic_from` reads them."""
        layers, tensors = describe(self.module)
        document = {
            "format": FORMAT,
            "family": self.family,
            "config": self.config,
            "input": self.takes.to_json(),
            "layers": layers,
            "lipschitz_bound": self.lipschitz_bound,
        }
        if self.takes.recipe is not None:
            document["recipe"] = dict(self.takes.recipe)
        if self.takes.columns is not None:  # beside "input", in which version 0.1 refuses what it does not know
            document["columns"] = list(self.takes.columns)
        return document, tensors


@own_torch_state()
def load_critic(directory: str | Path) -> Critic:
    """Read a critic that `Critic.save` wrote, and prove its Lipschitz bound again from the weights.

    Raises:
        WdistError: when the files have another format or do not match each other.
    """
    folder = Path(directory)
    document = json.loads((folder / "critic.json").read_text())
    return critic_from(document, load_file(folder / "critic.safetensors"), str(folder))


@own_torch_state()
def critic_from(document: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Critic:
    """The critic that `Critic.described` wrote. `where` is what messages call its file.

    Its Lipschitz bound is proven again from the weights when it is asked for.

    Raises:
        WdistError: when it has another format, or document and tensors do not match.
    """
    if document.get("format") != FORMAT:
        raise WdistError(f"{where} holds critic format {document.get('format')!r}, this version reads {FORMAT}")
    takes = document["input"] | {"row_shape": tuple(document["input"]["row_shape"])}
    takes.pop("kinds", None)  # which the recipe has as well
    config = find_family(document["family"]).load().from_json(document["config"])
    takes |= {name: document.get(name) for name in ("columns", "recipe")}
    return Critic(config, restore(document["layers"], tensors), CriticInput(**takes))


def _encoded(samples: SampleSet, encoding: Encoding) -> SampleSet:
    """Rows as codes, or already encoded. Warns of levels that the encoding does not have."""
    if samples.table is None and samples.names is None and samples.dimension == len(encoding.columns):
        samples.encoding = encoding
        return samples
    if samples.table is not None:
        for said in levels_not_known(encoding, samples.table, "the critic", "the rows"):
            warnings.warn(said, stacklevel=4)  # at the caller of `evaluate`
    return samples.encoded(encoding)


def _tensor(rows: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows)).double()
