"""Commands of `qc` that only the github source needs."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from qc_assets import progress
from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings, command_warehouse
from qc_assets.clock import now_utc
from qc_assets.errors import QcError

_SCHEMA_URL = "https://docs.github.com/public/fpt/schema.docs.graphql"


def discover() -> None:
    """Choose the repositories to read (QC_DISCOVERY_*), and store them with the reason."""
    from qc_assets.sources.registry import open_kept_up

    settings = command_settings(source="github")
    store = command_warehouse(settings)
    with console.bar("discovery"):
        counts = open_kept_up(settings).discover(store, settings, progress.report)
    rows = store.query(
        "SELECT name, stars, selection_reason FROM raw.repositories WHERE is_selected ORDER BY stars DESC LIMIT 10"
    ).to_dicts()
    note = f"{counts['chosen']} of {counts['candidates']} candidates chosen, {counts['dropped']} dropped"
    console.emit(counts, console.table("The most stars", rows), note)


def revisit() -> None:
    """Read again open and recently closed pull requests, and mark comments that are gone."""
    from qc_assets.sources.registry import open_kept_up

    settings = command_settings(source="github")
    with console.bar("revisits"):
        counts = open_kept_up(settings).revisit(command_warehouse(settings), settings, progress.report)
    console.emit(counts, ", ".join(f"{count} {name}" for name, count in counts.items()))


def diff(
    pull_request: Annotated[str, typer.Argument(help="owner/name#number.")],
) -> None:
    """Print the code change of a pull request."""
    from qc_assets.sources.github.changes import read_diff
    from qc_assets.sources.github.source import GitHubSource

    repo, _, number = pull_request.partition("#")
    if repo.count("/") != 1 or not number.isdigit():
        raise QcError(f"{pull_request}: write it as owner/name#number")
    settings = command_settings(source="github")
    client = GitHubSource.from_settings(settings).client
    try:
        text = read_diff(client, repo, int(number), limit=settings.max_diff_bytes)
    finally:
        client.close()
    console.emit({"pull_request": pull_request, "diff": text}, text.replace("[", "\\["))


def fake_github(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8081,
    prs: Annotated[int, typer.Option(help="Pull requests in its world.")] = 2_000,
    days: Annotated[int, typer.Option(help="Days of activity, up to yesterday.")] = 240,
    faults: Annotated[float, typer.Option(help="Share of requests that fail, as GitHub's do.")] = 0.0,
    points: Annotated[int, typer.Option(help="Points an hour for each token.")] = 5_000,
    schema: Annotated[
        Path | None,
        typer.Option(help=f"Another schema, such as GitHub's whole one ({_SCHEMA_URL}); default: what queries need."),
    ] = None,
) -> None:
    """Serve a synthetic GitHub that speaks its public GraphQL schema, to try the github source without a token."""
    from qc_assets.sources.fake.demo_on_github import from_demo
    from qc_assets.sources.fake.fake_server import FakeGitHub
    from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema

    file = schema or OWN_SCHEMA
    if not file.is_file():
        raise QcError(f"{file} is not a file: download {_SCHEMA_URL} to it, or leave --schema out")
    first = _yesterday() - timedelta(days=days - 1)
    with console.bar(f"a world of {prs:,} pull requests"):
        world = from_demo(prs, days, first, command_settings().seed)
    fake = FakeGitHub(load_schema(file), world, fault_rate=faults, points=points, port=port)
    names = sorted({repo["nameWithOwner"] for repo in world.repos.values()})
    url = f"http://127.0.0.1:{fake.http.server_address[1]}"
    lines = (
        f"export QC_SOURCE=github QC_GITHUB_URL={url} QC_START_DATE={first}",
        "export QC_WAREHOUSE=/tmp/fake.duckdb QC_HOME=/tmp/fake-home",
        "export QC_DISCOVERY_MIN_STARS=50 QC_DISCOVERY_MIN_MERGED=5",
        ".venv/bin/qc discover",
        f".venv/bin/qc backfill --from {first} --to {_yesterday()}",
    )
    document = {"url": url, "repos": names, "first": first.isoformat()}
    console.emit(
        document,
        console.marked("[bold]{}[/bold] serves {} repositories; in another terminal:\n", url, len(names)),
        *lines,
        "",
    )
    try:
        fake.http.serve_forever()
    except KeyboardInterrupt:
        console.err.print("stopped")


def _yesterday() -> date:
    return now_utc().date() - timedelta(days=1)


def register(app: typer.Typer) -> None:
    """Add these commands to `qc`."""
    for command in (discover, revisit, diff, fake_github):
        app.command()(command)
