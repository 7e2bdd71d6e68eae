"""A reader of stored critics in numpy: f(x), its gradient, and its proven Lipschitz bound."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CertificateError, shown
from .net.layers import Layer, build_layer
from .rounding import EPSILON, NORM_ROUNDING, UNDERFLOW
from .rows import Input, column_names, open_rows

Values = NDArray[np.float64]

BLOCK_NUMBERS = 1 << 19  # activations of one layer held at once: 4 MB
WIDEST = 1 << 24  # numbers that all layers together may give for one row
LAYER_LIMIT = 256
_DTYPES = {"F32": "<f4", "F64": "<f8"}


class Critic:
    """A trained potential f: layers applied in order, in float64, to rows converted as its input description says.

    columns: names of the columns of the rows, where they are known; frames with others are refused.
    """

    def __init__(self, takes: Input, layers: Sequence[Layer], columns: Sequence[str] | None = None) -> None:
        self.takes = takes
        self.columns = columns
        self.layers = list(layers)
        self.layer_bounds: list[float] = []
        shape, widest, made = takes.row_shape, math.prod(takes.row_shape), 0
        for layer in self.layers:
            bound, shape = layer.norm(shape)
            self.layer_bounds.append(bound)
            widest, made = max(widest, math.prod(shape)), made + math.prod(shape)
            if made > WIDEST:  # a small file could ask for hours
                raise CertificateError(f"the layers give {made} numbers a row; at most {WIDEST} are computed")
        if math.prod(shape) != 1:
            raise CertificateError(f"the critic gives {shape} numbers a row instead of one")
        self._block_rows = max(1, BLOCK_NUMBERS // widest)

    @property
    def lipschitz_bound(self) -> float:
        """L >= Lip(f) in the units after scaling: the product of the layers' proven bounds, with a rounding margin."""
        return math.prod(self.layer_bounds) * (1 + len(self.layer_bounds) * EPSILON)

    def evaluate(self, rows: Any, index: NDArray[np.int64] | None = None) -> Values:
        """f of rows as the user has them, (n, ...) -> (n,); with `index`, of those rows in that order."""
        array = self._opened(rows)
        return np.concatenate([self.scores(block) for block, _ in self.takes.blocks(array, index)])

    def scores(self, converted: Values) -> Values:
        """f of rows that `takes` has converted, (n, *row_shape) -> (n,)."""
        return np.concatenate([self._forward(part) for part in self._cut(converted)])

    def scores_and_rounding(self, array: NDArray[Any], index: NDArray[np.int64]) -> tuple[Values, Values]:
        """f of the rows `index` of an opened array, (n,), and how far from exact arithmetic each may be, (n,).

        The error is infinite where it could not be computed. Raises CertificateError where f could not.
        """
        scores, errors = [], []
        for block, error in self.takes.blocks(array, index):
            start = 0
            for part in self._cut(block):
                x, e = self._forward_and_rounding(part, error[start : start + len(part)])
                scores.append(x)
                errors.append(e)
                start += len(part)
        values, error = np.concatenate(scores), np.concatenate(errors)
        if np.isnan(values).any():
            raise CertificateError(f"f of row {index[int(np.isnan(values).argmax())]} is beyond the range of doubles")
        return values, np.where(np.isnan(error), np.inf, error)

    def _forward_and_rounding(self, x: Values, e: Values) -> tuple[Values, Values]:
        for layer, norm in zip(self.layers, self.layer_bounds, strict=True):
            y = layer.forward(x)
            added = layer.rounding(x, y)
            if norm != 1.0:
                e = e * norm
            if added is not None:
                e = e + NORM_ROUNDING * added + UNDERFLOW
            x = y
        return x.reshape(-1), e

    def gradient(self, rows: Any) -> Values:
        """Gradient of f with respect to the rows after conversion (uint8 / 255, layout), in front of any scale.

        (n, ...) -> (n, *row_shape). At a kink it is the gradient of one of the pieces.
        """
        blocks = (block for block, _ in self.takes.blocks(self._opened(rows)))
        whole = np.concatenate([self._backward(part) for block in blocks for part in self._cut(block)])
        return whole / self.takes.divisor

    def _opened(self, rows: Any) -> NDArray[Any]:
        names = column_names(rows)
        taken = self.columns
        if taken is None and names is not None and sorted(names) == sorted(map(str, range(len(names)))):
            taken = [str(k) for k in range(len(names))]  # a frame whose columns have numbers, put into another order
        if names is not None and taken is not None and names != list(taken):
            raise CertificateError(
                f"the rows have the columns {', '.join(names)[:300]}; "
                f"this critic takes {', '.join(taken)[:300]}, in that order"
            )
        array = open_rows(rows)
        if not array.size:
            raise CertificateError(f"an array of shape {array.shape} holds no rows")
        return array

    def _cut(self, block: Values) -> list[Values]:
        return [block[start : start + self._block_rows] for start in range(0, len(block), self._block_rows)]

    def _forward(self, x: Values) -> Values:
        for layer in self.layers:
            x = layer.forward(x)
        return x.reshape(-1)

    def _backward(self, x: Values) -> Values:
        inputs = []
        for layer in self.layers:
            inputs.append(x)
            x = layer.forward(x)
        gradient = np.ones_like(x)
        for layer, before in zip(reversed(self.layers), reversed(inputs), strict=True):
            gradient = layer.backward(before, gradient)
        return gradient


def build_critic(
    takes: dict[str, Any],
    entries: Sequence[dict[str, Any]],
    tensors: Mapping[str, NDArray[Any]],
    columns: Sequence[str] | None = None,
) -> Critic:
    """A critic from its input description, its layers' entries, and tensors named layers.<i>.<name>."""
    if not isinstance(entries, Sequence) or not 1 <= len(entries) <= LAYER_LIMIT:
        raise CertificateError(f"a critic has 1 to {LAYER_LIMIT} layers")
    own: list[dict[str, Values]] = [{} for _ in entries]
    places = {str(number): number for number in range(len(entries))}  # the one spelling of each
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        number, _, field = rest.partition(".")
        if prefix != "layers" or number not in places or not field:
            raise CertificateError(f"tensor {shown(name)} belongs to no layer")
        own[places[number]][field] = _weights(name, tensor)
    layers = [build_layer(entry, mine) for entry, mine in zip(entries, own, strict=True)]
    return Critic(Input.from_json(takes), layers, columns)


def _weights(name: str, tensor: NDArray[Any]) -> Values:
    """Weights in float64. Raises CertificateError if they are not finite real numbers."""
    if tensor.dtype.kind != "f" or not tensor.size:
        raise CertificateError(f"tensor {shown(name)} does not hold real numbers")
    weights = tensor.astype(np.float64)
    if not np.all(np.isfinite(weights)):
        raise CertificateError(f"tensor {shown(name)} holds values that are not finite")
    return weights


def read_critic(directory: str | Path) -> Critic:
    """Read critic.json and critic.safetensors from a directory. Raises CertificateError for anything unexpected."""
    folder = Path(directory)
    try:
        document = json.loads((folder / "critic.json").read_text())
        content = (folder / "critic.safetensors").read_bytes()
        if document["format"] != 1:
            raise CertificateError(f"critic format {document['format']!r} is unknown; this version reads 1")
        tensors = _safetensors(content)
        return build_critic(document["input"], document["layers"], tensors, document.get("columns"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, CertificateError):
            raise
        raise CertificateError(f"cannot read a critic from {str(folder)!r}: {error!r}") from error


def _safetensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Tensors of a safetensors file (any spelling): little-endian header length, JSON header, data."""
    start = 8 + int.from_bytes(content[:8], "little")
    if start > len(content):
        raise CertificateError("critic.safetensors is truncated")
    tensors: dict[str, NDArray[Any]] = {}
    for name, entry in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        count = math.prod(entry["shape"])
        if not 0 <= first <= last <= len(content) - start or last - first != count * dtype.itemsize:
            raise CertificateError(f"tensor {name!r} does not fit its place in critic.safetensors")
        tensors[name] = np.frombuffer(content, dtype, count, start + first).reshape(entry["shape"])
    return tensors
