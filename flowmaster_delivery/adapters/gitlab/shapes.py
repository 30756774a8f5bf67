"""GitLab's JSON, as far as it is used: what is not named here is ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel

from flowmaster_delivery.model.source import (
    Commit,
    ForgeDeployment,
    Job,
    Person,
    Pipeline,
    PipelineState,
)

STATES = {
    "success": PipelineState.SUCCESS,
    "failed": PipelineState.FAILED,
    "canceled": PipelineState.CANCELED,
    "skipped": PipelineState.SKIPPED,
    "manual": PipelineState.MANUAL,
}


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]


def state(word: str) -> PipelineState:
    """Words that are no end of it (`pending`, `canceling`, ones yet to come) are RUNNING."""
    return STATES.get(word, PipelineState.RUNNING)


class UserShape(BaseModel):
    id: int
    username: str
    name: str = ""
    state: str = "active"
    bot: bool = False
    membership_state: str | None = None
    email: str | None = None
    public_email: str | None = None
    commit_email: str | None = None

    def person(self) -> Person:
        return Person(self.id, self.username, self.name)


class EmailShape(BaseModel):
    email: str
    confirmed_at: Moment | None = None


class CommitShape(BaseModel):
    id: str
    title: str = ""
    author_name: str = ""
    author_email: str = ""
    committer_email: str = ""
    committed_date: Moment
    parent_ids: list[str] = []
    web_url: str = ""

    def commit(self) -> Commit:
        return Commit(
            id=self.id,
            title=self.title,
            author_name=self.author_name,
            author_email=self.author_email,
            committer_email=self.committer_email,
            at=self.committed_date,
            parents=tuple(self.parent_ids),
            url=self.web_url,
        )


class PipelineShape(BaseModel):
    id: int
    ref: str | None = None
    sha: str
    status: str
    source: str | None = None
    tag: bool = False
    web_url: str = ""

    def pipeline(self) -> Pipeline:
        return Pipeline(
            id=self.id,
            ref=self.ref or "",
            commit=self.sha,
            state=state(self.status),
            url=self.web_url,
            is_tag=self.tag,
            source=self.source or "",
        )


class VariableShape(BaseModel):
    key: str
    value: str = ""


class JobShape(BaseModel):
    id: int
    name: str
    stage: str
    status: str
    allow_failure: bool = False

    def job(self) -> Job:
        return Job(self.name, self.stage, state(self.status), self.allow_failure)


class TreeShape(BaseModel):
    id: str
    name: str
    type: str
    mode: str


class BranchShape(BaseModel):
    name: str
    protected: bool


class Named(BaseModel):
    id: str


class MergeRequestShape(BaseModel):
    iid: int
    title: str = ""
    state: str
    author: UserShape
    source_branch: str
    target_branch: str
    sha: str | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    merged_at: Moment | None = None
    detailed_merge_status: str | None = None
    labels: list[str] = []
    web_url: str = ""


class VersionShape(BaseModel):
    id: int
    head_commit_sha: str
    created_at: Moment


class ApprovedByShape(BaseModel):
    user: UserShape
    approved_at: Moment | None = None


class ApprovalsShape(BaseModel):
    approved_by: list[ApprovedByShape]


class EnvironmentShape(BaseModel):
    id: int
    name: str
    external_url: str | None = None
    tier: str | None = None


class DeploymentShape(BaseModel):
    id: int
    sha: str
    ref: str
    status: str

    def deployment(self, environment: str) -> ForgeDeployment:
        return ForgeDeployment(self.id, environment, self.sha, self.ref, self.status)
