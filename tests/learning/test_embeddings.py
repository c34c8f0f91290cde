"""Which encoder a process uses is said once, from above."""

from pathlib import Path

import numpy as np
import pytest

from qc_assets.learning.text import embeddings


def test_what_is_configured_is_the_default(tmp_path: Path) -> None:
    before = embeddings.cached_encoder()
    try:
        embeddings.configure_embeddings("another", tmp_path / "e.db")
        configured = embeddings.cached_encoder()
        assert (configured.name, configured.path) == ("another", tmp_path / "e.db")
        assert embeddings.cached_encoder() is configured  # an encoder is loaded once a process
        named = embeddings.cached_encoder("third", tmp_path / "other.db")
        assert (named.name, named.path) == ("third", tmp_path / "other.db")
    finally:
        embeddings.configure_embeddings(before.name, before.path)


@pytest.mark.slow
def test_embeddings_are_the_same_with_and_without_a_cache(tmp_path: Path) -> None:
    texts = ["why not?", "rename this", "why not?"]
    without = embeddings.CachedEncoder(embeddings.DEFAULT_ENCODER, None).encode(texts)
    kept = embeddings.CachedEncoder(embeddings.DEFAULT_ENCODER, tmp_path / "e.db").encode(texts)
    assert np.allclose(without, kept, atol=1e-3)
    assert without.dtype == kept.dtype == np.float32
