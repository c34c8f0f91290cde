"""Supervised fine-tuning of a language model on the exported chats (extra ``llm``)."""

import json
import math
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qc_assets.errors import QcError
from qc_assets.files import write_whole

_TARGETS = "all-linear"


@dataclass(frozen=True)
class TuningOptions:
    """How to fine-tune.

    Attributes:
        base: name on the Hugging Face hub, or a folder with weights and tokenizer.
        epochs: passes over the training split.
        learning_rate: of the adapters.
        batch_size: chats at a time.
        rank: of the adapters (LoRA; Hu et al., 2022).
        most_tokens: of a chat; longer ones are cut off.
        samples: critiques to write for held-out code.
        seed: of everything random.
    """

    base: str
    epochs: float = 1.0
    learning_rate: float = 2e-4
    batch_size: int = 4
    rank: int = 16
    most_tokens: int = 1024
    samples: int = 5
    seed: int = 20240101


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        folder: of adapter and tokenizer.
        loss_before, loss_after: mean negative log likelihood a token of the held-out critiques.
        rows: chats by split.
        samples: prompt, what people wrote, what the model wrote before and after.
    """

    folder: Path
    loss_before: float
    loss_after: float
    rows: dict[str, int]
    samples: list[dict[str, str]]


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """TRL sets what transformers calls by a new name; nobody who runs this can mend that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@_without_deprecations()
def tune(data: Path, output: Path, options: TuningOptions) -> Tuned:
    """Fine-tune adapters on ``train.jsonl`` and judge them on ``validation.jsonl`` of an export.

    Args:
        data: folder of the export.
        output: folder for adapter and tokenizer.
        options: how.

    Raises:
        QcError: if the extra is not installed, the export has no chats, or the model cannot be loaded.
    """
    try:
        import torch
        from datasets import Dataset, disable_progress_bars
        from peft import LoraConfig
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.trainer_callback import PrinterCallback
        from transformers.utils import logging
        from trl import SFTConfig, SFTTrainer
    except ImportError as error:
        raise QcError(f"fine-tuning needs more packages: pip install 'qc-assets[llm]' ({error})") from error
    disable_progress_bars()
    logging.disable_progress_bar()
    rows = {split: _chats(data / f"{split}.jsonl") for split in ("train", "validation")}
    if not all(rows.values()):
        raise QcError(f"{data} has no chats to train on and judge by: run `qc critique` on more comments")
    torch.manual_seed(options.seed)
    draft = output.with_name(f".{output.name}.draft")  # what was there stays until all is done
    shutil.rmtree(draft, ignore_errors=True)
    try:
        tokenizer = AutoTokenizer.from_pretrained(options.base)
        model = AutoModelForCausalLM.from_pretrained(options.base)
    except (OSError, ValueError) as error:
        raise QcError(f"the model {options.base} cannot be loaded: {str(error).splitlines()[0]}") from error
    prompts = [row["messages"][:-1] for row in rows["validation"][: options.samples]]
    before = [_written(model, tokenizer, prompt) for prompt in prompts]
    sets = {split: Dataset.from_list([_prompt_and_answer(row) for row in chats]) for split, chats in rows.items()}
    config = SFTConfig(
        output_dir=str(draft),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        max_length=options.most_tokens,
        completion_only_loss=True,  # the critique is learnt, not the code
        save_strategy="no",
        logging_steps=10,
        report_to=[],
        disable_tqdm=True,
        seed=options.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        gradient_checkpointing=torch.cuda.is_available(),
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
        processing_class=tokenizer,
        peft_config=LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=_TARGETS),
    )
    trainer.remove_callback(PrinterCallback)  # who called says what came of it
    loss_before = float(trainer.evaluate()["eval_loss"])
    trainer.train()
    loss_after = float(trainer.evaluate()["eval_loss"])
    if not math.isfinite(loss_after):
        raise QcError(f"the held-out loss is {loss_after}: lower the learning rate")
    trainer.save_model(str(draft))
    (draft / "training_args.bin").unlink(missing_ok=True)  # a pickle; what it says is in tuning.json
    write_whole(draft / "tuning.json", json.dumps(asdict(options), indent=1))
    shutil.rmtree(output, ignore_errors=True)
    draft.rename(output)
    after = [_written(trainer.model, tokenizer, prompt) for prompt in prompts]
    samples = [
        {"code": prompt[-1]["content"], "people": row["messages"][-1]["content"], "before": old, "after": new}
        for prompt, row, old, new in zip(prompts, rows["validation"], before, after, strict=False)
    ]
    return Tuned(output, loss_before, loss_after, {split: len(chats) for split, chats in rows.items()}, samples)


def _chats(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise QcError(f"no file {path}: run `qc critique`")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _prompt_and_answer(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}


def _written(model: Any, tokenizer: Any, prompt: list[dict[str, str]]) -> str:
    import torch

    inputs = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    with torch.no_grad():
        tokens = model.generate(**inputs, max_new_tokens=60, do_sample=False)
    return tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
