"""Summaries without a language model: what was asked for, and the sentences that say most of what was said."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qc_assets.critique.masks import masked, masked_code
from qc_assets.critique.prose import CodeBlock, parts, shortened
from qc_assets.critique.rules import rejected
from qc_assets.critique.threads import Thread

_VERSION = 2  # raise it when others would be picked
# A line that goes on in lower case was broken by a program, as in e-mails; abbreviations end no sentence.
_BOUNDARY = re.compile(
    r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\betc\.)[\"')\]]*\s+(?=[A-Z0-9`\"'(])|"
    r"\n+(?![a-z])|(?<=[.!?:;])\n+"
)
_ASKS = re.compile(
    r"(?i)\?|\b(please|should|could|can (you|we)|would|instead|rather|need(s|ed)?|must|suggests?|prefer|better|why|"
    r"use|rename|remove|delete|add|move|replace|drop|split|make|put|fix|write)\b"
)
_CODE_CHARACTERS = 100
_DAMPING = 0.85
_STEPS = 50


def sentences(text: str) -> list[str]:
    """Sentences of at least three words, in their order."""
    stripped = (sentence.strip() for sentence in _BOUNDARY.split(text))
    return [sentence for sentence in stripped if len(sentence.split()) >= 3]


def lexrank(vectors: np.ndarray) -> np.ndarray:
    """Centrality of sentences: the stationary distribution of a walk between like sentences (Erkan and Radev, 2004).

    Cosines of embeddings take the place of those of word counts, negative ones count as none.

    Args:
        vectors: unit vectors, (n, dimension).

    Returns:
        Shares, (n,), which add up to 1.
    """
    n = len(vectors)
    likeness = np.maximum(vectors @ vectors.T, 0.0)
    walk = likeness / likeness.sum(axis=1, keepdims=True)
    rank = np.full(n, 1.0 / n)
    for _ in range(_STEPS):
        rank = (1 - _DAMPING) / n + _DAMPING * (rank @ walk)
    return rank / rank.sum()


@dataclass(frozen=True)
class Extractive:
    """Picks the most central sentences of a discussion.

    Attributes:
        encode: texts to unit vectors; the shared cached encoder.
        most_sentences: of a summary.
        most_characters: of a summary.
        encoder: name of the encoder, for the version.
    """

    encode: Callable[[Sequence[str]], np.ndarray]
    most_sentences: int = 2
    most_characters: int = 400
    encoder: str = ""

    @property
    def version(self) -> str:
        """Changes with what it would pick."""
        return f"lexrank{_VERSION}:{self.most_sentences}:{self.most_characters}:{self.encoder}".rstrip(":")

    def summarize(self, threads: Sequence[Thread]) -> list[str]:
        """A summary of each discussion, in their order; all sentences are embedded at once."""
        by_thread = [_Sentence.all_of(thread) for thread in threads]
        unique = list(dict.fromkeys(sentence.text for of_thread in by_thread for sentence in of_thread))
        place = {sentence: row for row, sentence in enumerate(unique)}
        vectors = self.encode(unique) if unique else np.empty((0, 1))
        return [
            self._pick(of_thread, vectors[[place[s.text] for s in of_thread]])
            if of_thread
            else shortened(thread.transcript(), 200)
            for thread, of_thread in zip(threads, by_thread, strict=True)
        ]

    def _pick(self, of_thread: list["_Sentence"], vectors: np.ndarray) -> str:
        rank = lexrank(vectors)
        request = [row for row, sentence in enumerate(of_thread) if sentence.remark == of_thread[0].remark]
        # What is asked for comes first, in words and as a suggestion; then the word of somebody else on it.
        request.sort(key=lambda row: rank[row] * (2 if _ASKS.search(of_thread[row].text) else 1), reverse=True)
        suggestions = [row for row in request if of_thread[row].is_suggestion][:1]
        answers = range(len(request), len(of_thread))
        others = [row for row in answers if of_thread[row].role != of_thread[0].role] or list(answers)
        answer = sorted(others, key=lambda row: (rejected(of_thread[row].text) is None, rank[row]), reverse=True)[:1]
        words = [row for row in request if not of_thread[row].is_suggestion]
        words = words[: max(1, self.most_sentences - len(suggestions) - len(answer))] + answer
        length = self.most_characters - sum(len(of_thread[row].text) for row in suggestions)
        one_speaks = all(sentence.role == of_thread[0].role for sentence in of_thread)
        text, role = "", of_thread[0].role if one_speaks else ""
        for row in sorted(suggestions + words):
            sentence = of_thread[row]
            text += f" {sentence.role}: " if sentence.role != role else " "
            text += sentence.text if sentence.is_suggestion else shortened(sentence.text, length // len(words))
            role = sentence.role
        return text.strip()


@dataclass(frozen=True)
class _Sentence:
    """A sentence, masked, with who said it in which remark."""

    text: str
    role: str
    remark: int
    is_suggestion: bool

    @classmethod
    def all_of(cls, thread: Thread) -> list["_Sentence"]:
        of_thread: list[_Sentence] = []
        for place, remark in enumerate(thread.remarks):
            comment = parts(remark.body)
            own: list[tuple[str, bool]] = []
            for piece in comment.pieces:
                if isinstance(piece, str):
                    own += [(sentence, False) for sentence in sentences(masked(piece))]
                elif piece.is_suggestion:
                    own.append((_told(piece), True))
                elif own and own[-1][0].endswith(":"):  # it is the rest of the sentence
                    own[-1] = (f"{own[-1][0]} {_told(piece)}", False)
            if not own and len(thread.remarks) > 1 and comment.prose:  # such as "Fixed.", which is an answer
                own.append((masked(comment.prose), False))
            of_thread += [cls(_ended(text), remark.role, place, is_suggestion) for text, is_suggestion in own]
        return of_thread


def _told(block: CodeBlock) -> str:
    return CodeBlock(masked_code(block.code), block.is_suggestion).told(_CODE_CHARACTERS)


def _ended(sentence: str) -> str:
    sentence = " ".join(sentence.split()).rstrip(":;, ")
    return sentence if re.search(r"[.!?…][\"')\]`*]*$", sentence) else f"{sentence}."
