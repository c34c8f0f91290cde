"""Embedding real review comments: comments per second against plain `SentenceTransformer.encode`, and cosines to it."""

import time
from pathlib import Path

import polars as pl

FILE = Path(__file__).resolve().parents[2] / "shared" / "benchmarks" / "review_comments_esem23.csv"
LEAST = 3.0


def main() -> None:
    if not FILE.is_file():
        print(f"skipped: {FILE} is not there")
        return
    from sentence_transformers import SentenceTransformer

    from qc_assets.learning.text.embeddings import DEFAULT_ENCODER, Encoder, encoder_folder

    texts = pl.read_csv(FILE)["message"].drop_nulls().to_list()
    plain = SentenceTransformer(encoder_folder(DEFAULT_ENCODER))
    fast = Encoder(DEFAULT_ENCODER)
    seconds, vectors = {}, {}
    for name, encode in (("plain", plain.encode), ("qc-assets", fast.encode)):
        encode(texts[:64])
        runs = []
        for _ in range(3):
            started = time.perf_counter()
            vectors[name] = encode(texts)
            runs.append(time.perf_counter() - started)
        seconds[name] = min(runs)
        print(f"{name}: {len(texts) / seconds[name]:.0f} comments/s", flush=True)
    cosine = (vectors["plain"] * vectors["qc-assets"]).sum(axis=1)
    print(f"cosine to plain: at least {cosine.min():.5f}, aim 0.99 -> {'met' if cosine.min() >= 0.99 else 'MISSED'}")
    ratio = seconds["plain"] / seconds["qc-assets"]
    print(
        f"ratio {ratio:.2f} (comments/s over plain); aim: at least {LEAST:g} -> {'met' if ratio >= LEAST else 'MISSED'}"
    )
