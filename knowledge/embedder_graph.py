"""The encoder of MiniLM as an ONNX graph with int8 weights, written as protobuf without the `onnx` package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

HEADS = 12
_EPSILON = 1e-12
_FLOAT, _UINT8, _INT8, _INT32 = 1, 2, 3, 6
_ONNX_TYPES = {"float32": _FLOAT, "uint8": _UINT8, "int8": _INT8, "int32": _INT32}
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT = 1, 2


def encoder_graph(weights: Mapping[str, NDArray[np.float32]], *, layers: int, bits: int = 8) -> bytes:
    """Return the serialised model: `hidden` (batch, length, width) and `lengths` (batch) in, `states` out.

    Every matrix is quantised per output column to `bits` bits; activations are quantised as they come.
    `bits` is 7 for processors whose 8-bit products would overflow.
    """
    graph = _Graph()
    state = "hidden"
    for layer in range(layers):
        state = _layer(graph, weights, f"encoder.layer.{layer}.", state, bits, is_last=layer == layers - 1)
    return graph.serialise(width=int(weights["embeddings.LayerNorm.weight"].shape[0]))


def _layer(
    graph: _Graph, weights: Mapping[str, NDArray[np.float32]], name: str, state: str, bits: int, *, is_last: bool
) -> str:
    own = f"{name}attention.self."
    joined = np.concatenate([weights[f"{own}{part}.weight"].T for part in ("query", "key", "value")], axis=1)
    bias = np.concatenate([weights[f"{own}{part}.bias"] for part in ("query", "key", "value")])
    matrix, scale = _quantise(joined, bits)
    quantised = graph.node("DynamicQuantizeLinear", [state], [f"{name}q", f"{name}qs", f"{name}qz"], domain="")
    attended = graph.node(
        "QAttention",
        [
            quantised,
            graph.constant(f"{own}w", matrix),
            graph.constant(f"{own}b", bias),
            f"{name}qs",
            graph.constant(f"{own}s", scale),
            "lengths",
            f"{name}qz",
            graph.constant(f"{own}z", np.zeros(len(scale), np.int8)),
        ],
        [f"{name}attended"],
        num_heads=HEADS,
    )
    output = f"{name}attention.output."
    dense = graph.dense(weights, f"{output}dense", attended, bits)
    middle = graph.normalise(weights, f"{output}LayerNorm", dense, state, f"{name}middle")
    wide = graph.dense(weights, f"{name}intermediate.dense", middle, bits)
    curved = graph.node("Gelu", [wide], [f"{name}curved"])
    narrow = graph.dense(weights, f"{name}output.dense", curved, bits)
    return graph.normalise(weights, f"{name}output.LayerNorm", narrow, middle, "states" if is_last else f"{name}states")


def _quantise(matrix: NDArray[np.float32], bits: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    limit = 2 ** (bits - 1) - 1
    scale = (np.abs(matrix).max(axis=0) / limit).astype(np.float32)
    return np.rint(matrix / scale).astype(np.int8), scale


class _Graph:
    """Nodes and constants on their way to protobuf."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def node(
        self, kind: str, inputs: list[str], outputs: list[str], *, domain: str = "com.microsoft", **attributes: float
    ) -> str:
        """Add a node and return its first output."""
        fields = [_text(1, name) for name in inputs] + [_text(2, name) for name in outputs] + [_text(4, kind)]
        fields += [_bytes(5, _attribute(name, value)) for name, value in attributes.items()]
        self._nodes.append(b"".join([*fields, _text(7, domain)]))
        return outputs[0]

    def constant(self, name: str, values: NDArray[np.float32] | NDArray[np.int8]) -> str:
        """Add a constant tensor and return its name."""
        dims = b"".join(_integer(1, size) for size in values.shape)
        kind = _integer(2, _ONNX_TYPES[values.dtype.name])
        self._constants.append(dims + kind + _text(8, name) + _bytes(9, np.ascontiguousarray(values).tobytes()))
        return name

    def dense(self, weights: Mapping[str, NDArray[np.float32]], name: str, state: str, bits: int) -> str:
        """Add `state @ weight + bias` with int8 weights."""
        matrix, scale = _quantise(np.ascontiguousarray(weights[f"{name}.weight"].T), bits)
        inputs = [
            state,
            self.constant(f"{name}.w", matrix),
            self.constant(f"{name}.s", scale),
            self.constant(f"{name}.z", np.zeros(len(scale), np.int8)),
            self.constant(f"{name}.b", weights[f"{name}.bias"]),
        ]
        return self.node("DynamicQuantizeMatMul", inputs, [f"{name}.out"])

    def normalise(
        self, weights: Mapping[str, NDArray[np.float32]], name: str, state: str, beside: str, output: str
    ) -> str:
        """Add the layer norm of `state + beside`."""
        gamma = self.constant(f"{name}.g", weights[f"{name}.weight"])
        beta = self.constant(f"{name}.c", weights[f"{name}.bias"])
        return self.node("SkipLayerNormalization", [state, beside, gamma, beta], [output], epsilon=_EPSILON)

    def serialise(self, *, width: int) -> bytes:
        """Return the whole model."""
        graph = b"".join(
            [
                *(_bytes(1, node) for node in self._nodes),
                _text(2, "encoder"),
                *(_bytes(5, constant) for constant in self._constants),
                _bytes(11, _value("hidden", _FLOAT, ["batch", "length", width])),
                _bytes(11, _value("lengths", _INT32, ["batch"])),
                _bytes(12, _value("states", _FLOAT, ["batch", "length", width])),
            ]
        )
        standard = _bytes(8, _text(1, "") + _integer(2, 17))
        fused = _bytes(8, _text(1, "com.microsoft") + _integer(2, 1))
        return _integer(1, 8) + _text(2, "memoras") + _bytes(7, graph) + standard + fused


def _value(name: str, kind: int, sizes: Iterable[str | int]) -> bytes:
    dims = [_bytes(1, _text(2, size) if isinstance(size, str) else _integer(1, size)) for size in sizes]
    tensor = _integer(1, kind) + _bytes(2, b"".join(dims))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _attribute(name: str, value: float) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, _ATTRIBUTE_INT)
    single = _varint(2 << 3 | 5) + np.float32(value).tobytes()
    return _text(1, name) + single + _integer(20, _ATTRIBUTE_FLOAT)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
