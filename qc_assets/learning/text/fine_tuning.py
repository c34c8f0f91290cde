"""An encoder whose every weight is tuned to the categories, averaged with the linear classifier."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qc_assets.learning.spec import Parameters
from qc_assets.learning.text.embeddings import cached_encoder, encoder_folder, multiplies_bfloat16
from qc_assets.learning.text.text_estimators import LinearTextEstimator

_HEAD_RATE = 1e-3
_MAX_TOKENS = 192
_SMOOTHING = 0.1  # of labels: people disagree about one in five


class FineTunedEstimator:
    """Mean of the probabilities of a fine-tuned encoder with a linear head, and of `LinearTextEstimator`.

    Weights are kept as safetensors, which run no code when loaded.

    Args:
        network: a `torch.nn.Module` from `_network`.
        tokenizer: of its encoder.
        linear: the other half.
    """

    file, meta = "encoder.safetensors", "encoder.json"

    def __init__(self, network: Any, tokenizer: Any, linear: LinearTextEstimator, classes: int) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.linear = linear
        self.classes = classes

    @classmethod
    def fit(
        cls,
        parameters: Parameters,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        *,
        seed: int,
        threads: int | None,
    ) -> "FineTunedEstimator":
        """Fit on texts (rows, 2), labels (rows,) and weights (rows,); on a GPU where there is one."""
        import torch

        if threads:
            torch.set_num_threads(threads)
        linear = LinearTextEstimator.fit(parameters, x, y, weights, seed=seed)
        classes = int(y.max()) + 1
        device = "cuda" if torch.cuda.is_available() else "cpu"
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network, tokenizer = _network(linear.encoder, classes)
            estimator = cls(network.to(device), tokenizer, linear, classes)
            estimator._train(parameters, _joined(x), y.astype(np.int64), weights, device, np.random.default_rng(seed))
        return estimator

    def _train(
        self,
        parameters: Parameters,
        texts: list[str],
        y: np.ndarray,
        weights: np.ndarray,
        device: str,
        rng: np.random.Generator,
    ) -> None:
        import torch
        from torch import nn

        epochs, rate, size = parameters["epochs"], parameters["learning_rate"], parameters["batch_size"]
        optimizer = torch.optim.AdamW(
            [
                {"params": self.network.encoder.parameters(), "lr": rate},
                {"params": self.network.head.parameters(), "lr": _HEAD_RATE},
            ],
            weight_decay=0.01,
        )
        steps = epochs * -(-len(texts) // size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [rate, _HEAD_RATE], total_steps=steps + 1, pct_start=0.1
        )
        loss_of = nn.CrossEntropyLoss(label_smoothing=_SMOOTHING, reduction="none")
        self.network.train()
        for _ in range(epochs):
            for rows in _batches(texts, size, rng):
                inputs = self._tokens([texts[row] for row in rows], device)
                with torch.autocast(device, dtype=torch.bfloat16, enabled=multiplies_bfloat16(device)):
                    logits = self.network(**inputs)
                weight = torch.tensor(weights[rows], device=device, dtype=torch.float32)
                losses = loss_of(logits.float(), torch.tensor(y[rows], device=device))
                optimizer.zero_grad()
                ((losses * weight).sum() / weight.sum().clamp(min=1e-9)).backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        self.network.eval()

    def score(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of the categories, (rows, classes)."""
        import torch

        texts = _joined(x)
        device = str(next(self.network.parameters()).device)
        probabilities = np.empty((len(texts), self.classes))
        order = np.argsort([len(text) for text in texts], kind="stable")
        with torch.inference_mode():
            for start in range(0, len(order), 64):
                rows = order[start : start + 64]
                logits = self.network(**self._tokens([texts[row] for row in rows], device))
                probabilities[rows] = logits.float().softmax(dim=1).cpu().numpy()
        return (probabilities + self.linear.score(x)) / 2

    def _tokens(self, texts: list[str], device: str) -> dict[str, Any]:
        inputs = self.tokenizer(texts, truncation=True, max_length=_MAX_TOKENS, padding=True, return_tensors="pt")
        return {name: inputs[name].to(device) for name in ("input_ids", "attention_mask")}

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {name: value.contiguous().cpu() for name, value in self.network.state_dict().items()}
        save_file(weights, str(folder / self.file))
        (folder / self.meta).write_text(json.dumps({"classes": self.classes}))
        self.linear.save(folder)

    @classmethod
    def load(cls, folder: Path) -> "FineTunedEstimator":
        from safetensors.torch import load_file

        linear = LinearTextEstimator.load(folder)
        classes = json.loads((folder / cls.meta).read_text())["classes"]
        network, tokenizer = _network(linear.encoder, classes)
        network.load_state_dict(load_file(str(folder / cls.file)))
        return cls(network.eval(), tokenizer, linear, classes)


def _network(encoder: str, classes: int) -> tuple[Any, Any]:
    """An encoder with mean pooling, dropout and a linear head; and its tokenizer."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    class Network(torch.nn.Module):  # type: ignore[misc]  # torch is not followed: it has no such types
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(folder)
            self.dropout = torch.nn.Dropout(0.2)
            self.head = torch.nn.Linear(self.encoder.config.hidden_size, classes)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return self.head(self.dropout((hidden * mask).sum(dim=1) / mask.sum(dim=1)))

    cached_encoder(encoder)  # its checks, and offline mode
    folder = encoder_folder(encoder)
    return Network(), AutoTokenizer.from_pretrained(folder)


def _joined(x: np.ndarray) -> list[str]:
    """Path and body as one text, since the place of a comment says something, too."""
    return [f"{row[1]} : {row[0]}" if len(row) > 1 and row[1] else str(row[0]) for row in x]


def _batches(texts: list[str], size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches in random order whose texts are of similar length."""
    order = rng.permutation(len(texts))
    batches = []
    for start in range(0, len(order), size * 20):
        chunk = order[start : start + size * 20]
        chunk = chunk[np.argsort([len(texts[row]) for row in chunk], kind="stable")]
        batches += [chunk[first : first + size] for first in range(0, len(chunk), size)]
    for index in rng.permutation(len(batches)):
        yield batches[index]
