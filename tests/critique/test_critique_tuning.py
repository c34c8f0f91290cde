"""Fine-tuning on exported chats: a tiny random model on the CPU, through the asset."""

import json
from pathlib import Path
from typing import Any

import pytest

from qc_assets.cli.runs import RunFailedError, run_job
from qc_assets.critique.critique_dataset import chats
from qc_assets.critique.tuning import TuningOptions, tune
from qc_assets.errors import QcError
from qc_assets.settings import Settings
from tests import histories

_WORDS = ("items", "cursor", "buffer", "session", "token", "queue", "lock", "page")


def write_chats(folder: Path, train: int = 64, validation: int = 16) -> None:
    import polars as pl

    folder.mkdir(parents=True)
    for split, count in (("train", train), ("validation", validation), ("test", 0)):
        rows = [
            {
                "path": "src/a.py", "section": "def read()", "hunk": f" a = 1\n+{_WORDS[n % 8]} = open({n})",
                "body": f"Close `{_WORDS[n % 8]}` when parsing fails.", "category": "functional",
                "category_origin": "label", "usefulness": "changed", "summary": None, "repo": "o/r", "licence": "MIT",
                "number": n, "comment_id": n, "created_at": histories.hour(n), "source": "demo",
            }
            for n in range(count)
        ]  # fmt: skip
        frame = pl.DataFrame(rows)
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(chat)}\n" for chat in chats(frame)))
    (folder / "README.md").write_text("# Review critiques\n")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of 60,000 random weights with a tokenizer of its own: nothing is downloaded."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    words = [f"Close `{word}` when parsing fails. def read() open src/a.py diff" for word in _WORDS]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<unk>", "<s>", "</s>"]
    tokenizer.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = (
        "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant: {% endif %}"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(fast), max_position_embeddings=512, **sizes)).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_adapters_learn_and_their_critiques_are_shown(make_settings: Any, tiny: Path) -> None:
    pytest.importorskip("trl", reason="the extra llm is not installed")
    settings: Settings = make_settings()
    write_chats(settings.critiques_folder)
    options = {"base": str(tiny), "epochs": 3.0, "learning_rate": 0.05, "batch_size": 16, "samples": 2}
    result = run_job(settings, "critique_model", ops={"tune_critique_model": {"config": options}})
    metadata = result.metadata["critique_model"]
    assert metadata["held-out loss"] < metadata["held-out loss before"] - 0.1, (
        "a random head, which adapters leave alone"
    )
    assert metadata["train rows"] == 64 and metadata["validation rows"] == 16
    assert metadata["samples"].count("**people**: Close &#96;") == 2 and "**after**" in metadata["samples"]
    files = {path.name for path in Path(metadata["adapter"]).iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tuning.json"} <= files
    assert not any(name.endswith((".bin", ".pkl", ".pt")) for name in files), "nothing that is unsafe to load"

    import mlflow

    client = mlflow.MlflowClient(settings.tracking_uri)
    run = client.get_run(metadata["MLflow run"].rpartition("/")[2])
    assert run.data.metrics["held_out_loss"] == metadata["held-out loss"] and run.data.params["rank"] == "16"
    assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} >= {
        "samples.md",
        "data_card.md",
        "model",
    }


def test_without_a_base_or_chats_it_says_what_to_do(make_settings: Any, tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(RunFailedError, match="set QC_TUNING_BASE to a folder or a name of the Hugging Face hub"):
        run_job(make_settings(), "critique_model")
    pytest.importorskip("trl", reason="the extra llm is not installed")
    with pytest.raises(QcError, match="run `qc critique`"):
        tune(tmp_path, tmp_path / "out", TuningOptions(str(tiny)))
    write_chats(tmp_path / "data", validation=0)
    with pytest.raises(QcError, match="has no chats to train on and judge by"):
        tune(tmp_path / "data", tmp_path / "out", TuningOptions(str(tiny)))
    write_chats(tmp_path / "more", 4, 4)
    with pytest.raises(QcError, match="no/such"):
        tune(tmp_path / "more", tmp_path / "out", TuningOptions(str(tmp_path / "no/such")))
