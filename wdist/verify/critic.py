"""A reader of stored critics in numpy: f(x), its gradient, and its proven Lipschitz bound."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .container import CertificateError
from .layers import EPSILON, Layer, build_layer
from .rows import Input, column_names, open_rows

Values = NDArray[np.float64]

BLOCK_NUMBERS = 1 << 21  # activations of one layer held at once: 16 MB
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
        shape, widest = takes.row_shape, math.prod(takes.row_shape)
        for layer in self.layers:
            bound, shape = layer.norm(shape)
            self.layer_bounds.append(bound)
            widest = max(widest, math.prod(shape))
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
        return np.concatenate([self.scores(block) for block in self.takes.blocks(array, index)])

    def scores(self, converted: Values) -> Values:
        """f of rows that `takes` has converted, (n, *row_shape) -> (n,)."""
        return np.concatenate([self._forward(part) for part in self._cut(converted)])

    def gradient(self, rows: Any) -> Values:
        """Gradient of f with respect to the rows after conversion (uint8 / 255, layout), in front of any scale.

        (n, ...) -> (n, *row_shape). At a kink it is the gradient of one of the pieces.
        """
        blocks = self.takes.blocks(self._opened(rows))
        whole = np.concatenate([self._backward(part) for block in blocks for part in self._cut(block)])
        return whole / self.takes.divisor

    def _opened(self, rows: Any) -> NDArray[Any]:
        names = column_names(rows)
        if names is not None and self.columns is not None and names != list(self.columns):
            raise CertificateError(
                f"the rows have the columns {', '.join(names)[:300]}; "
                f"this critic takes {', '.join(self.columns)[:300]}, in that order"
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
    own: list[dict[str, Values]] = [{} for _ in entries]
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        number, _, field = rest.partition(".")
        if prefix != "layers" or not number.isdecimal() or int(number) >= len(entries) or not field:
            raise CertificateError(f"tensor {name!r} belongs to no layer")
        own[int(number)][field] = tensor.astype(np.float64)
        if not np.all(np.isfinite(own[int(number)][field])):
            raise CertificateError(f"tensor {name!r} holds values that are not finite")
    layers = [build_layer(entry, mine) for entry, mine in zip(entries, own, strict=True)]
    return Critic(Input.from_json(takes), layers, columns)


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
