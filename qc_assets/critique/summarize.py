"""One summary of each discussion: by a language model if there is a key, else by picking its central sentences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.critique.batches import Done
from qc_assets.critique.extractive import Extractive
from qc_assets.critique.language_model import LanguageModel, SummaryAttempt
from qc_assets.critique.threads import Thread
from qc_assets.settings import Settings
from qc_assets.store.dead_letters import DeadLetter

Method = Extractive | LanguageModel


def method(settings: Settings) -> Method:
    """What summarizes, by the settings: an endpoint with QC_LLM_API_KEY, else sentences by their embeddings."""
    if settings.llm_api_key is None:
        from qc_assets.learning.text.embeddings import cached_encoder

        return Extractive(cached_encoder(settings.encoder, settings.embeddings_cache).encode, encoder=settings.encoder)
    return LanguageModel(
        settings.llm_url,
        settings.llm_api_key,
        settings.llm_model or "",
        settings.home / "critique" / "answers.db",
        concurrency=settings.llm_concurrency,
        price_in=settings.llm_price_in or 0.0,
        price_out=settings.llm_price_out or 0.0,
        ceiling=settings.llm_ceiling,
        shared=settings.shared,
    )


def summaries(threads: Sequence[Thread], summarizer: Method, repos: Mapping[int, str | None]) -> Done:
    """Summarize discussions.

    Args:
        threads: what was said.
        summarizer: the method.
        repos: names of repositories by id, for what is written down of failures.

    Returns:
        Rows for critique.summaries; what failed has no summary.
    """
    results: Sequence[SummaryAttempt | str] = summarizer.summarize(threads)
    rows = [_row(thread, result, summarizer.version) for thread, result in zip(threads, results, strict=True)]
    schema: dict[str, Any] = dict.fromkeys(("thread_id", "repo_id", "number", "comments"), pl.Int64)
    schema |= dict.fromkeys(("content_hash", "summary", "outcome", "method", "error"), pl.String)
    failures = [
        DeadLetter(
            now_utc().date(),
            f"thread {thread.thread_id}",
            result.error_type,
            result.error,
            action="left without a summary" + ("" if result.is_final else "; it will be asked for again"),
            is_final=result.is_final,
            repo=repos.get(thread.repo_id),
            endpoint=summarizer.base_url if isinstance(summarizer, LanguageModel) else None,
            tries=result.tries,
        )
        for thread, result in zip(threads, results, strict=True)
        if isinstance(result, SummaryAttempt) and result.summary is None
    ]
    counts = Counter(failure.error_type for failure in failures) | Counter(summarized=len(threads) - len(failures))
    figures = vars(summarizer.spent) if isinstance(summarizer, LanguageModel) else {}
    return Done(pl.DataFrame(rows, schema=schema), counts, failures, dict(figures))


def _row(thread: Thread, result: SummaryAttempt | str, version: str) -> dict[str, object]:
    summary = result.summary if isinstance(result, SummaryAttempt) else None
    return {
        "thread_id": thread.thread_id,
        "repo_id": thread.repo_id,
        "number": thread.number,
        "comments": len(thread.remarks),
        "content_hash": thread.content_hash(version),
        "summary": result if isinstance(result, str) else summary and summary.summary,
        "outcome": summary and summary.outcome,
        "method": version,
        "error": (result.error or None) if isinstance(result, SummaryAttempt) else None,
    }
