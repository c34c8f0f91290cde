"""The synthetic world in the shape of the raw tables: one row for each key and day of activity."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from qc_assets.sources.demo import activity, code, endings, opened, origins, population, world
from qc_assets.sources.demo.knobs import Bias
from qc_assets.sources.demo.population import DAY

ISSUES_PER_PR = 0.8


def generate(n_prs: int, days: int, first_day: date, seed: int, bias: str = "") -> dict[str, pl.DataFrame]:
    """Generate a world.

    Args:
        n_prs: pull requests; issues are 0.8 times as many.
        days: days over which they are opened; nothing is observed after the last.
        first_day: the first day.
        seed: the same arguments give the same world.
        bias: one to plant, as `qc_assets.sources.demo.knobs.Bias` reads it.

    Returns:
        The raw tables' rows by table; ``diffs`` (repo_id, number, diff), the last unified diffs of pull requests
        that were commented on; ``openings`` (repo_id, number, additions, deletions, files, commits), sizes that force
        pushes may have hidden; and the truth that no model may see: ``truth`` (repo_id, number, p0, fair_p0,
        passed), ``truth_issues`` (repo_id, number, median_hours) and ``truth_comments`` (comment_id, category,
        changed).
    """
    rng = np.random.default_rng(seed)
    people, repos = population.populate(rng, n_prs, days, first_day)
    prs = world.pull_requests(rng, people, repos, n_prs, days, first_day, Bias.parse(bias))
    issues = world.issues(rng, people, repos, round(n_prs * ISSUES_PER_PR), days, first_day)
    prs, issues = world.number_items(prs, issues)
    verdicts = activity.judge(rng, repos, prs)
    reviews = verdicts.reviews.sort("time", "item").with_row_index("review_id", 1)
    written = activity.comments_on_reviews(rng, people, reviews)
    reviewed = code.review(seed, written, prs["user"].to_numpy(), people.is_bot)
    on_lines = reviewed.comments
    talk = activity.conversation(rng, repos, prs, verdicts.closed, 1.2)
    on_prs = pl.concat([talk, endings.reports(seed, people, prs)])
    issue_closed = issues["opened"].to_numpy() + issues["hours"].to_numpy() * 3600
    on_issues = activity.conversation(rng, repos, issues, issue_closed, 1.6)
    pr_labels = activity.labels(rng, prs, verdicts.first_rejection)
    issue_labels = activity.labels(rng, issues, np.full(issues.height, np.inf))

    dress = _Dress(days, first_day, people)
    later = rng.spawn(1)[0]
    prs = prs.with_columns(
        sizes_from=activity.rewritten(later, verdicts.merged),
        merger=pl.Series(activity.mergers(later, repos, prs)),
        renamed=pl.Series(later.random(prs.height) < 0.1),
        closed=verdicts.closed,
        merged=verdicts.merged,
        rejected=verdicts.first_rejection,
        growth=pl.Series(rng.integers(1, 80, prs.height)),
    )
    prs, requests = opened.with_facts(seed, repos, people.is_bot, endings.close_pull_requests(repos, people, prs))
    issues = endings.close_issues(seed, repos, people, issues.with_columns(closed=issue_closed))
    pr_events = (_moment(prs, "opened"), _moment(prs, "closed"), reviews, on_lines, on_prs, pr_labels)
    issue_events = (_moment(issues, "opened"), _moment(issues, "closed"), on_issues, issue_labels)
    keys = {
        "pr": prs.select("item", "repo_id", "number"),
        "issue": issues.select("item", "repo_id", "number"),
    }
    on_prs, on_issues = (
        frame.join(keys[kind], on="item").with_columns(is_on_pull_request=pl.lit(kind == "pr"))
        for frame, kind in ((on_prs, "pr"), (on_issues, "issue"))
    )
    conversation = pl.concat([on_prs, on_issues]).sort("time").with_row_index("comment_id", 1)
    people_acts = pl.concat(
        [frame.select("user", "time") for frame in (reviews, on_lines, conversation)]
        + [frame.select("user", time="opened") for frame in (prs, issues)]
    )
    repo_acts = pl.concat(
        [
            activity.active_days(days, *events).join(keys[kind], on="item").select("repo_id", "day")
            for kind, events in (("pr", pr_events), ("issue", issue_events))
        ]
    )
    return {
        "repositories": dress.dated(repo_acts.unique().join(repos.frame, on="repo_id")).drop("day"),
        "users": dress.users(people_acts),
        "pull_requests": dress.pull_requests(activity.active_days(days, *pr_events), prs),
        "reviews": dress.reviews(reviews.join(keys["pr"], on="item"), verdicts.closed, rng),
        "review_comments": dress.review_comments(on_lines.join(keys["pr"], on="item")),
        "issues": dress.issues(activity.active_days(days, *issue_events), issues),
        "issue_comments": dress.issue_comments(conversation),
        "label_events": dress.label_events(
            pl.concat([pr_labels.join(keys["pr"], on="item"), issue_labels.join(keys["issue"], on="item")])
        ),
        "files": dress.files(opened.files(seed, prs)),
        "review_requests": dress.review_requests(requests),
        "openings": prs.select("repo_id", "number", "additions", "deletions", "files", "commits"),
        "truth": prs.select("repo_id", "number", "p0", "fair_p0", "passed"),
        "truth_issues": issues.select("repo_id", "number", "median_hours"),
        "truth_comments": written.join(reviewed.changed, on="comment_id").select(
            "category", "changed", comment_id=-pl.col("comment_id").cast(pl.Int64)
        ),
        "diffs": reviewed.diffs.join(keys["pr"], on="item").select("repo_id", "number", "diff"),
    }


def _moment(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return frame.select("item", time=pl.col(column))


class _Dress:
    """Turns seconds into timestamps and user indices into accounts, and adds the columns every raw table has."""

    def __init__(self, days: int, first_day: date, people: population.People) -> None:
        self.days = days
        self.start = datetime.combine(first_day, datetime.min.time())
        index = np.arange(len(people.logins))
        deleted = people.deleted
        self.people = pl.DataFrame(
            {
                "user": index,
                "author_id": pl.Series(-(index + 1)),
                "author_login": people.logins.tolist(),
                "author_is_bot": people.is_bot,
                "deleted": deleted,
            }
        ).with_columns(
            author_id=pl.when("deleted").then(None).otherwise("author_id"),
            author_login=pl.when("deleted").then(pl.lit("ghost")).otherwise("author_login"),
        )

    def at(self, column: str) -> pl.Expr:
        """Seconds from the start as a UTC timestamp of whole seconds; NULL where infinite."""
        seconds = pl.when(pl.col(column).is_finite()).then(pl.col(column)).cast(pl.Int64)
        return pl.lit(self.start) + pl.duration(seconds=seconds)

    def dated(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Add source, observed_at (the end of the day) and partition_date, from the column `day`."""
        day = pl.lit(self.start.date()) + pl.duration(days=pl.col("day"))
        return frame.with_columns(
            source=pl.lit("demo"),
            partition_date=day.cast(pl.Date),
            observed_at=day.cast(pl.Datetime("us")) + timedelta(days=1) - timedelta(seconds=1),
        ).sort("partition_date")

    def by_time(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Keep what happened within the world, with the column `day`."""
        return frame.filter(pl.col("time") < self.days * DAY).with_columns(day=(pl.col("time") // DAY).cast(pl.Int64))

    def author(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(self.people.drop("deleted"), on="user", how="left").drop("user")

    def users(self, acts: pl.DataFrame) -> pl.DataFrame:
        days = self.by_time(acts).select("user", "day").unique()
        profiles = days.join(self.people.filter(~pl.col("deleted")), on="user").select(
            "day",
            user_id="author_id",
            login="author_login",
            type=pl.when("author_is_bot").then(pl.lit("Bot")).otherwise(pl.lit("User")),
            is_bot="author_is_bot",
        )
        return self.dated(profiles).drop("day")

    def pull_requests(self, days: pl.DataFrame, prs: pl.DataFrame) -> pl.DataFrame:
        later = pl.col("day") > (pl.col("opened") // DAY)
        grown = pl.when((pl.col("day") + 1) * DAY > pl.col("rejected")).then("growth").otherwise(0)
        over = pl.col("closed") < (pl.col("day") + 1) * DAY
        association = (
            pl.when("is_core")
            .then(pl.lit("MEMBER"))
            .when(pl.col("prior") == 0)
            .then(pl.lit("FIRST_TIME_CONTRIBUTOR"))
            .otherwise(pl.lit("CONTRIBUTOR"))
        )
        mergers = self.people.select(merger="user", merged_by_id="author_id")
        is_known = pl.col("sizes_from").is_not_null()
        frame = endings.with_closer(days.join(prs, on="item"), self.people).join(mergers, on="merger", how="left")
        rows = self.author(frame).select(
            "repo_id",
            "number",
            "author_id",
            "author_login",
            "author_is_bot",
            "day",
            pr_id=-(pl.col("item") + 1),
            author_association=association,
            # Edits after the fact are bait: a feature that read them would know the outcome.
            title=endings.last_title(over),
            body=pl.when(over & pl.col("merged")).then(pl.col("body") + "\n\nReleased.").otherwise("body"),
            state=pl.when(over).then(pl.lit("closed")).otherwise(pl.lit("open")),
            is_draft=pl.col("draft") & ~later,
            created_at=self.at("opened"),
            updated_at=self.at("last"),
            closed_at=pl.when(over).then(self.at("closed")),
            merged_at=pl.when(over & pl.col("merged") & ~pl.col("squashed")).then(self.at("closed")),
            merged_by_id=pl.when(over & pl.col("merged") & ~pl.col("squashed")).then("merged_by_id"),
            closed_title=pl.when(over).then(endings.title_at_end(over)),
            **endings.closing_columns(over),
            additions=pl.col("additions") + grown,
            deletions="deletions",
            changed_files="files",
            commits=pl.col("commits") + grown.clip(0, 1),
            opened_title="title",
            opened_body="body",
            opened_is_draft="draft",
            opened_author_association=association,
            **origins.opened_columns(is_known),
            opened_files_from="sizes_from",
            opened_base_ref="base",
            is_from_fork="is_from_fork",
            opened_reviewers="reviewers",
        )
        return self.dated(rows).drop("day")

    def issues(self, days: pl.DataFrame, issues: pl.DataFrame) -> pl.DataFrame:
        over = pl.col("closed") < (pl.col("day") + 1) * DAY
        association = pl.when("is_core").then(pl.lit("MEMBER")).otherwise(pl.lit("NONE"))
        rows = self.author(endings.with_closer(days.join(issues, on="item"), self.people)).select(
            "repo_id",
            "number",
            "author_id",
            "author_login",
            "author_is_bot",
            "day",
            "title",
            "body",
            issue_id=-(pl.col("item") + 1),
            author_association=association,
            state=pl.when(over).then(pl.lit("closed")).otherwise(pl.lit("open")),
            created_at=self.at("opened"),
            updated_at=self.at("last"),
            closed_at=pl.when(over).then(self.at("closed")),
            state_reason=pl.when(over).then("reason"),
            **endings.closing_columns(over),
            opened_title="title",
            opened_body="body",
            opened_author_association=association,
        )
        return self.dated(rows).drop("day")

    def reviews(self, reviews: pl.DataFrame, closed: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
        dismissed = pl.Series(rng.random(reviews.height) < 0.03) & (pl.col("state") == "CHANGES_REQUESTED")
        reviews = reviews.with_columns(submitted_state="state", submitted="time", dismissed=dismissed)
        ends = pl.DataFrame({"item": np.arange(len(closed)), "closed": closed})
        later = reviews.filter("dismissed").join(ends, on="item")
        later = later.with_columns(time=pl.max_horizontal("closed", pl.col("time") + DAY), state=pl.lit("DISMISSED"))
        rows = self.author(self.by_time(pl.concat([reviews, later.drop("closed")]))).select(
            "repo_id",
            "number",
            "author_id",
            "author_login",
            "author_is_bot",
            "state",
            "submitted_state",
            "day",
            review_id=-pl.col("review_id").cast(pl.Int64),
            submitted_at=self.at("submitted"),
        )
        return self.dated(rows).drop("day")

    def review_comments(self, comments: pl.DataFrame) -> pl.DataFrame:
        rows = self.author(self.by_time(comments)).select(
            "repo_id",
            "number",
            "author_id",
            "author_login",
            "author_is_bot",
            "path",
            "diff_hunk",
            "body",
            "day",
            comment_id=-pl.col("comment_id").cast(pl.Int64),
            review_id=-pl.col("review_id").cast(pl.Int64),
            in_reply_to_id=-pl.col("in_reply_to_id"),
            created_at=self.at("time"),
            updated_at=self.at("time"),
        )
        return self.dated(rows).drop("day")

    def issue_comments(self, comments: pl.DataFrame) -> pl.DataFrame:
        rows = self.author(self.by_time(comments)).select(
            "repo_id",
            "number",
            "author_id",
            "author_login",
            "author_is_bot",
            "is_on_pull_request",
            "body",
            "day",
            comment_id=-pl.col("comment_id").cast(pl.Int64),
            created_at=self.at("time"),
            updated_at=self.at("time"),
        )
        return self.dated(rows).drop("day")

    def label_events(self, events: pl.DataFrame) -> pl.DataFrame:
        rows = self.by_time(events).select(
            "repo_id", "number", "label", "day", action=pl.lit("labeled"), created_at=self.at("time")
        )
        return self.dated(rows).drop("day").unique(["repo_id", "number", "label", "action", "created_at"])

    def files(self, files: pl.DataFrame) -> pl.DataFrame:
        return self.dated(self.by_time(files).drop("time")).drop("day")

    def review_requests(self, requests: pl.DataFrame) -> pl.DataFrame:
        rows = opened.request_rows(self.by_time(requests), self.people).with_columns(created_at=self.at("time"))
        return self.dated(rows).drop("day", "time").unique(["repo_id", "number", "reviewer_login", "created_at"])
