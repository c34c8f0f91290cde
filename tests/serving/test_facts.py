"""What the named endpoints take, against what the feature tables say."""

import pytest
from pydantic import ValidationError

from qc_assets.features.contract import FEATURE_OWNERS, contract_of
from qc_assets.learning.spec import ASSOCIATIONS
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.serving.facts import CommentText, Facts, IssueFacts, PullRequestFacts, TextFacts, askable, request_of
from qc_assets.serving.schemas import BUCKETS

WHO = {"worker_id", "worker_account_id", "task_id"}


@pytest.mark.parametrize("request_type", [PullRequestFacts, IssueFacts], ids=lambda kind: kind.__name__)
def test_every_field_is_a_feature_of_the_table(request_type: type[Facts]) -> None:
    columns = contract_of(request_type.table).columns
    names = {request_type.renamed.get(name, name) for name in request_type.model_fields} - WHO
    assert names and all(columns[name].owner in FEATURE_OWNERS for name in names)


def test_issue_endpoints_take_all_that_can_be_said_of_an_issue() -> None:
    fields = {IssueFacts.renamed.get(name, name) for name in IssueFacts.model_fields}
    assert fields == WHO | {*askable(RESOLUTION_TIME)}
    facts = IssueFacts(worker_id="amy", task_id="o/r#1", submission_hour=7, is_bug=True)
    assert facts.given() == {"hour": 7, "is_bug": True}


def test_types_and_bounds_come_from_the_sql() -> None:
    properties = request_of(P0).model_json_schema()["properties"]
    share, hour = properties["additions_share"]["anyOf"][0], properties["hour"]["anyOf"][0]
    assert (share["type"], share["minimum"], share["maximum"]) == ("number", 0, 1)
    assert (hour["type"], hour["minimum"], hour["maximum"]) == ("integer", 0, 23)
    assert properties["is_bug_fix"]["anyOf"][0] == {"type": "boolean"}
    assert properties["author_association"]["anyOf"][0]["enum"] == list(ASSOCIATIONS)
    with pytest.raises(ValidationError, match="repo_pass_rate"):
        request_of(P0)(worker_id="amy", task_id="o/r#1", repo_pass_rate=1.0)


def test_a_text_is_asked_about_by_itself() -> None:
    assert issubclass(CommentText, TextFacts) and not issubclass(CommentText, Facts)
    assert CommentText(body="x").model_dump() == {"task_id": None, "comment_id": 0, "body": "x", "path": None}


def test_what_p0_recommends_is_what_feedback_can_replace() -> None:
    assert tuple(action for _, _, action in BUCKETS) == P0.actions
    assert [least for least, _, _ in BUCKETS] == sorted((least for least, _, _ in BUCKETS), reverse=True)
