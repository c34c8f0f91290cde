"""The commands of `qc` about models."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings, command_warehouse
from qc_assets.cli.submitting import Submit, submit_to_queue
from qc_assets.errors import QcError
from qc_assets.registry.tracking_server import refuse_if_away

labels = typer.Typer(name="labels", no_args_is_help=True, help="Labelled review comments, for comment_category.")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(train)
    app.command()(rollback)
    app.command()(bias)
    app.command()(publish)
    app.command()(audit)
    app.add_typer(labels)


def train(
    model: Annotated[str | None, typer.Argument(help="Name of the model; all if not given.")] = None,
    model_name: Annotated[str | None, typer.Option("--model-name", help="The same as MODEL.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Defaults of each candidate, without a search.")] = False,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="Optuna trials; else QC_N_TRIALS.")] = None,
    candidates: Annotated[
        str | None, typer.Option("--candidates", help="Only these, comma-separated, such as linear,lightgbm.")
    ] = None,
    run_name: Annotated[str | None, typer.Option("--run-name", help="Name of the MLflow run.")] = None,
    details: Annotated[bool, typer.Option("--details", help="Also print all metrics and times of steps.")] = False,
    submit: Submit = False,
) -> None:
    """Compute features on all that has been loaded, train, judge against the champion, and report."""
    from qc_assets.assets import tables
    from qc_assets.assets.jobs import training_job
    from qc_assets.assets.model_versions import training_config
    from qc_assets.assets.partitions import NOTHING_MADE
    from qc_assets.cli import run_summary
    from qc_assets.cli.live_steps import shown_live
    from qc_assets.cli.runs import run_job

    names = model_names()
    if model and model_name and model != model_name:
        raise QcError(f"MODEL is {model} and --model-name {model_name}: name one")
    model = model or model_name
    chosen = [_known(model)] if model else names
    kinds = _candidates(chosen, candidates)
    settings = command_settings()
    options = training_config(quick=quick, n_trials=trials, candidates=kinds, run_name=run_name)
    config = {name: value for name, value in options.items() if name.removeprefix("train_") in chosen}
    job = training_job(model) if model else "training"
    if submit:
        return submit_to_queue(settings, job, [[]], config)
    refuse_if_away(settings.tracking_uri)  # now, and not after the features
    with shown_live(f"training {' and '.join(chosen)}", settings.logs) as hear:
        result = run_job(settings, job, ops=config, hear=hear)
    document, shown = run_summary.after_run(command_warehouse(settings), result, chosen, with_details=details)
    console.emit(document, *shown)
    pages = {name: result.metadata[tables.key(f"models.{name}").to_user_string()] for name in chosen}
    nothing = [f"{name}: {page[NOTHING_MADE]}" for name, page in pages.items() if NOTHING_MADE in page]
    if len(nothing) == len(chosen):
        raise QcError(f"nothing was trained ({'; '.join(nothing)})")


def rollback(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    to: Annotated[int | None, typer.Option("--to", help="Default: the version that the champion replaced.")] = None,
) -> None:
    """Make an earlier version of a model champion again; what that takes down stays down until something is better."""
    from qc_assets.assets.resources import RegistryResource
    from qc_assets.registry import mirror

    settings = command_settings()
    registry = RegistryResource.from_settings(settings).open()
    before, after = registry.roll_back(_known(model), to)
    mirror.sync_mirror(command_warehouse(settings), registry, model)
    document = {"model": model, "champion_before": before, "champion": after}
    console.emit(
        document,
        f"version {after} of {model} is champion again; {f'it was version {before}' if before else 'there was none'}",
    )


def bias(
    model: Annotated[str | None, typer.Argument(help="Name of the model; all if not given.")] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="repo, seniority, origin, labels, completion_time, keywords, language, newcomer."),
    ] = None,
    version: Annotated[int | None, typer.Option("--version", help="Default: the newest one.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what would help, which takes most time.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Also write .html, .txt, .md or .csv.")] = None,
) -> None:
    """Who is treated differently by a model, by how much, how sure that is, what would help, and at what cost."""
    from qc_assets.assets.resources import RegistryResource
    from qc_assets.fairness.audit import audit_groups
    from qc_assets.fairness.report import BiasReport
    from qc_assets.fairness.subject import load_subject, sensitive_attributes
    from qc_assets.models.specs import SPECS
    from qc_assets.store.forge_records import reads_made_up

    if version is not None and model is None:
        raise QcError("--version needs a MODEL")
    chosen = [_known(model)] if model else model_names()
    settings = command_settings()
    store, registry = command_warehouse(settings), RegistryResource.from_settings(settings).open()
    audits = []
    with console.bar(f"comparing groups of {' and '.join(chosen)}") as progress:
        for spec in SPECS:
            if spec.name not in chosen:
                continue
            tested = load_subject(store, registry, spec, is_synthetic=reads_made_up(store, settings), version=version)
            if tested is None and model:
                raise QcError(f"{model} has no version yet: run `qc train {model}`")
            if tested is not None:
                audits += [
                    audit_groups(tested, name, settings, with_mitigations=not quick, progress=progress)
                    for name in sensitive_attributes(spec, by)
                ]
    if not audits:
        raise QcError("no model has a version yet: run `qc train`")
    document = [
        {"model": report.model, "version": report.version, "attribute": report.attribute}
        | {"flags": report.analysis.flags.to_dicts(), "findings": report.analysis.findings.to_dicts()}
        | {"mitigations": [] if report.mitigations is None else report.mitigations.to_dicts()}
        for report in audits
    ]
    note = [f"written to {BiasReport.save_report(audits, output)}"] if output else []
    console.emit(document, "\n\n\n".join(map(BiasReport.generate_audit_report, audits)), *note)


def model_names() -> list[str]:
    """Names of all models."""
    from qc_assets.models.specs import SPECS

    return [spec.name for spec in SPECS]


def _known(model: str) -> str:
    names = model_names()
    if model not in names:
        raise QcError(f"no model {model}; there is {', '.join(names)}")
    return model


def _candidates(models: list[str], given: str | None) -> list[str]:
    """Full names of candidates; people abbreviate: forest, boost.

    Raises:
        QcError: if a model has none that a name could mean, or several.
    """
    from qc_assets.models.specs import SPECS

    chosen = []
    for spec in SPECS:
        for name in (given or "").split(","):
            short = name.strip()
            if spec.name not in models or not short:
                continue
            kinds = [candidate.kind for candidate in spec.candidates]
            kept = [kind for kind in kinds if kind == short] or [kind for kind in kinds if short in kind]
            if len(kept) != 1:
                why = f"could be {' or '.join(kept)}" if kept else f"is none of {', '.join(kinds)}"
                raise QcError(f"--candidates: {short} {why} (candidates of {spec.name})")
            chosen += kept
    return list(dict.fromkeys(chosen))


def audit(
    dataset: Annotated[
        Path, typer.Argument(help="Parquet or CSV: a row an item, with label, time and features; or: payouts.")
    ],
    label: Annotated[str, typer.Option(help="Column, or SQL over the columns, with the outcome: two values.")] = "",
    time: Annotated[str, typer.Option(help="Column with when the item began.")] = "",
    features: Annotated[str, typer.Option(help="Columns that the model knows, comma-separated.")] = "",
    cut_back: Annotated[
        str, typer.Option(help="FEATURE=COLUMN, comma-separated: the feature's value as of the beginning.")
    ] = "",
    repository: Annotated[str | None, typer.Option(help="Column with whose item it is.")] = None,
) -> None:
    """How much of a score is look-ahead, what is missing, or telling repositories apart: of anybody's table.

    `qc audit payouts` proves payouts instead: the chain of their entries, their arithmetic, and their facts.
    """
    import duckdb

    if str(dataset) == "payouts":
        _audit_payouts()
        return
    missing = [name for name, given in (("label", label), ("time", time), ("features", features)) if not given]
    if missing:
        raise QcError(f"qc audit {dataset} needs --{' and --'.join(missing)}; `qc audit payouts` needs nothing")

    from qc_assets.learning.table_audit import audit_table

    pairs = [pair.partition("=") for pair in cut_back.split(",") if pair.strip()]
    if any(not column for _, _, column in pairs):
        raise QcError(f"--cut-back {cut_back}: write FEATURE=COLUMN, such as commits=opened_commits")
    names = [name.strip() for name in features.split(",") if name.strip()]
    named = [(feature.strip(), column.strip()) for feature, _, column in pairs]
    unknown = [feature for feature, _ in named if feature not in names]
    if unknown:
        raise QcError(f"--cut-back {unknown[0]}: it is none of --features")
    # Features called opened_NAME are the values of the beginning, if the table has them.
    rows = duckdb.sql(f"SELECT *, ({label}) AS audited_label FROM '{str(dataset).replace(chr(39), chr(39) * 2)}'").pl()
    given = {name: f"opened_{name}" for name in names if f"opened_{name}" in rows.columns} | dict(named)
    lines = audit_table(rows, label="audited_label", time=time, features=names, cut_back=given, repository=repository)
    shown = [
        {
            "what the model knew": line.what,
            "ROC AUC": round(line.auc, 3),
            "95 % interval": f"{line.lower:.3f} to {line.upper:.3f}",
            "than all features": f"{line.auc - lines[0].auc:+.3f}",
            "within repositories": "" if line.within is None else f"{line.within:.3f}",
        }
        for line in lines
    ]
    console.emit(shown, console.table(f"{dataset.name}: the newest 15 % by {time}", shown))


def _audit_payouts() -> None:
    from qc_assets.assets.resources import RegistryResource
    from qc_assets.serving.payout_audit import audit_payouts

    settings = command_settings()
    registry = RegistryResource.from_settings(settings).open()
    audit = audit_payouts(command_warehouse(settings), registry, *settings.journals, note=settings.payment_note)
    rows = list(audit.differences)
    shown = [console.table("Payouts that would differ on today's facts", rows)] if rows else []
    troubles = [console.marked("[red]wrong[/red]: {}", trouble) for trouble in audit.troubles]
    proved = f"{audit.payments} payouts in {audit.entries} entries: chain, arithmetic and p0 are as written down"
    told: list[Text | str] = [*troubles] or [proved]
    console.emit(vars(audit), *shown, *told)
    if troubles:
        raise typer.Exit(1)


@labels.command("import")
def import_labels(
    file: Annotated[Path, typer.Argument(help="CSV with a text and a category column.")],
    text_column: Annotated[str | None, typer.Option("--text-column", help="Default: body, message, …")] = None,
    label_column: Annotated[str | None, typer.Option("--label-column", help="Default: category, label, …")] = None,
) -> None:
    """Read labelled comments: what a rater said last counts, then the majority; bad rows are named, the others kept."""
    from qc_assets.features.labels import import_file
    from qc_assets.store.forge_records import assumed_number

    settings = command_settings()
    store = command_warehouse(settings)
    forge = assumed_number(store, settings)
    report = import_file(store, file, text_column=text_column, label_column=label_column, forge=forge)
    rows = [{"category": name, "comments": count} for name, count in report.by_category.items()]
    bad = [console.marked("[yellow]row {}[/yellow]: {}", *row) for row in report.bad[:20]]
    more = [f"… and {len(report.bad) - 20} more (--json has all)"] if len(report.bad) > 20 else []
    ids = ", ".join(map(str, report.waiting[:5])) + (", …" if len(report.waiting) > 5 else "")
    notes = {
        f"comments wait to be loaded ({ids}), and are labelled when they are": len(report.waiting),
        "rows are of comments that models leave out (bot, reply, empty), or that feedback overrules": report.left_out,
        "rows are of comments on which no category has the majority of raters: nothing trains": report.disputed,
        "rows are outvoted by other raters": report.outvoted,
        "earlier labels are superseded, and kept": report.superseded,
    }
    console.emit(
        asdict(report),
        console.table(f"Imported from {file.name}", rows, ["category", "comments"]),
        f"{report.imported:,} imported, {report.known:,} were known already, {len(report.bad):,} left out",
        *(f"{count:,} {what}" for what, count in notes.items() if count),
        *map(str, report.agreement[:10]),
        *bad,
        *more,
        console.marked("[cyan]qc train comment_category[/cyan] trains on them."),
    )


def publish(
    to: Annotated[str | None, typer.Option("--to", help="Folder or s3://bucket/prefix; else QC_EXPORT_URL.")] = None,
    roll_back: Annotated[
        str | None, typer.Option("--roll-back", help="Make the version of this model before the latest the latest.")
    ] = None,
) -> None:
    """Export champions and predictions for other systems, or roll an exported model back."""
    from qc_assets.assets.resources import RegistryResource
    from qc_assets.registry.export_place import Place
    from qc_assets.registry.model_files import roll_back_export
    from qc_assets.serving import publish

    settings = command_settings(**({"export_url": to} if to else {}))
    place = Place.from_settings(settings)
    if roll_back:
        version = roll_back_export(place, _known(roll_back))
        console.emit(
            {"model": roll_back, "latest": version}, f"{roll_back} version {version} is the latest at {place.url}"
        )
        return
    store = command_warehouse(settings)
    predictions = publish.predictions(place, store)
    champions = publish.champions(place, store, RegistryResource.from_settings(settings).open())
    console.emit(
        {"place": place.url, "champions": champions, "predictions": predictions},
        console.table(f"Champions at {place.url}", champions),
        console.table("Predictions", predictions),
    )
