"""What all batches of critiques come to: the data set, the errors, the files, and a model tuned on them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from qc_assets import pages
from qc_assets.assets import tables
from qc_assets.assets.critique_batches import CHANGED, GROUP
from qc_assets.assets.resources import RegistryResource, WarehouseResource
from qc_assets.settings import Settings

CRITIQUES = tables.key("reports.critiques")
FILES, MODEL = tables.key("exports.critiques"), tables.key("critique.model")


class TuningConfig(dg.Config):
    """How to fine-tune."""

    base: str | None = Field(None, description="Folder or name on the Hugging Face hub; default: QC_TUNING_BASE.")
    epochs: float = Field(1.0, gt=0, description="Passes over the training split.")
    learning_rate: float = Field(2e-4, gt=0, description="Of the adapters.")
    batch_size: int = Field(4, ge=1, description="Chats at a time.")
    rank: int = Field(16, ge=1, description="Of the adapters.")
    most_tokens: int = Field(1024, ge=32, description="Of a chat; longer ones are cut off.")
    samples: int = Field(5, ge=0, description="Critiques to write of held-out code.")


def critique_report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """reports_critiques, reports_critique_errors, exports_critiques and critique_model."""

    @dg.multi_asset(
        name="report_critiques",
        specs=[
            tables.spec(
                "reports.critiques",
                "Comments that are kept, with code, summary, category and usefulness, in splits that do not leak.",
                group=GROUP,
                deps=["critique.summaries", "critique.diffs", "features.comments", "ml.predictions"],
            ).replace_attributes(automation_condition=CHANGED)
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "splits_do_not_leak",
                asset=CRITIQUES,
                blocking=True,
                description="No repository of test, no pull request and no text on the same code is in another split, "
                "and nothing in train is later than what it is judged by.",
            )
        ],
    )
    def critiques(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        from qc_assets.learning import plots

        store = warehouse.open()
        rows = store.rebuild("reports/critiques")
        sections = {
            name: store.sql_file("reports/critiques", section=name)
            for name in ("steps", "funnel", "sizes", "usefulness", "languages", "leaks")
        }
        steps = sections["steps"].row(0, named=True)
        leaks = sections["leaks"].row(0, named=True)
        names = [name.replace("_", " ") for name in steps]
        plot = plots.funnel(names, list(steps.values()), "review comments", "From all review comments to the data set")
        yield dg.MaterializeResult(
            metadata=tables.row_count(rows)
            | {"plot": tables.png_metadata(plot)}
            | {
                name: tables.preview(sections[name].to_dicts())
                for name in ("funnel", "sizes", "usefulness", "languages")
            },
            check_results=[
                dg.AssetCheckResult(check_name="splits_do_not_leak", passed=not any(leaks.values()), metadata={**leaks})
            ],
        )

    @dg.multi_asset(
        name="report_critique_errors",
        specs=[
            tables.spec(
                "reports.critique_errors",
                "What failed in any batch, from reading its repositories to its diffs, by kind of error.",
                group=GROUP,
                deps=["critique.summaries", "critique.diffs"],
            ).replace_attributes(automation_condition=CHANGED)
        ],
    )
    def errors(warehouse: WarehouseResource) -> dg.MaterializeResult:
        store = warehouse.open()
        rows = store.rebuild("reports/critique_errors")
        by_type = store.sql_file("reports/critique_errors", section="by_type")
        status = store.sql_file("critique/log", section="by_status")
        return dg.MaterializeResult(
            metadata=tables.row_count(rows)
            | {"by type": tables.preview(by_type.to_dicts()), "batches by status": tables.preview(status.to_dicts())}
        )

    @dg.asset(
        key=FILES,
        group_name=tables.group_name(GROUP),
        owners=tables.OWNERS,
        kinds={"parquet"},
        deps=[CRITIQUES],
        description="The data set as Parquet and chats (JSONL), a file a split, with its card.",
        automation_condition=CHANGED,
    )
    def files(warehouse: WarehouseResource) -> dg.MaterializeResult:
        from qc_assets.critique.critique_dataset import write_dataset

        counts = write_dataset(warehouse.open(), settings.critiques_folder, settings)
        card = (settings.critiques_folder / "README.md").read_text(encoding="utf-8")
        return dg.MaterializeResult(
            metadata={
                "folder": dg.MetadataValue.path(str(settings.critiques_folder)),
                **{f"{split} rows": count for split, count in counts.items()},
                "card": dg.MetadataValue.md(card),
            }
        )

    @dg.multi_asset(
        name="tune_critique_model",
        specs=[
            dg.AssetSpec(
                MODEL,
                group_name=tables.group_name(GROUP),
                owners=tables.OWNERS,
                kinds={"mlflow", "huggingface"},
                deps=[FILES],
                description="Adapters of a language model, fine-tuned to write critiques (needs the extra `llm`).",
            )
        ],
    )
    def model(
        context: dg.AssetExecutionContext, config: TuningConfig, registry: RegistryResource
    ) -> dg.MaterializeResult:
        from qc_assets.critique.tuning import TuningOptions, tune
        from qc_assets.errors import QcError

        chosen: dict[str, Any] = config.model_dump() | {"base": config.base or settings.tuning_base}
        if not chosen["base"]:
            raise QcError("no model to fine-tune: set QC_TUNING_BASE to a folder or a name of the Hugging Face hub")
        options = TuningOptions(**chosen, seed=settings.seed)
        tuned = tune(settings.critiques_folder, settings.home / "critique" / "model", options)
        tags = {"dagster_run_id": context.run_id, "base": options.base, "synthetic": str(settings.is_synthetic)}
        samples = _samples(tuned.samples)
        experiment, run = registry.open().record(
            "critique_model",
            f"critiques {Path(options.base).name}",
            parameters=vars(options),
            metrics={"held_out_loss_before": tuned.loss_before, "held_out_loss": tuned.loss_after}
            | {f"rows_{split}": count for split, count in tuned.rows.items()},
            tags=tags,
            texts={"samples.md": samples, "data_card.md": (settings.critiques_folder / "README.md").read_text("utf-8")},
            folder=tuned.folder,
        )
        return dg.MaterializeResult(
            metadata={
                "base": options.base,
                "held-out loss before": tuned.loss_before,
                "held-out loss": tuned.loss_after,
                **{f"{split} rows": count for split, count in tuned.rows.items()},
                "adapter": dg.MetadataValue.path(str(tuned.folder)),
                "samples": dg.MetadataValue.md(samples),
                "MLflow run": dg.MetadataValue.url(registry.run_url(experiment, run)),
            }
        )

    return [critiques, errors, files, model]


def _samples(samples: list[dict[str, str]]) -> str:
    """What people and the model wrote of the same code, one below the other."""
    parts = []
    for number, sample in enumerate(samples, 1):
        texts = [
            f"- **{who}**: {pages.markdown_text(' '.join(sample[who].split())[:400]) or '(nothing)'}"
            for who in ("people", "before", "after")
        ]
        parts.append("\n".join([f"### {number}", pages.fenced(sample["code"]), *texts]))
    return "\n\n".join(parts) or "no samples"
