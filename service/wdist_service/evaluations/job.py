"""The kind of job that an evaluation is: a critic, or its gradient, on every row of a stored set."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from wdist_service.queue.kinds import JobKind, UnworkableError, Work
from wdist_service.sample_sets.columns import called, names_of
from wdist_service.tables import Artifact, Evaluation, SampleSet


class EvaluationKind(JobKind[Evaluation]):
    """Evaluations: runner.py does them, part by part."""

    table = Evaluation
    runner = "wdist_service.evaluations.runner"

    def work(self, session: Session, job: Evaluation) -> Work:
        rows = session.get(SampleSet, job.sample_set_id)
        if rows is None:
            raise UnworkableError(f"there is no sample set {job.sample_set_id!r} any more")
        critic = select(Artifact.name, Artifact.sha256).where(
            Artifact.job_id == job.estimate_id, Artifact.name.like("critic.%")
        )
        files = {row.name: row.sha256 for row in session.execute(critic)} | {"rows": rows.sha256}
        known = {"name": called(rows), "columns": names_of(rows), "table": rows.table_schema, "shape": rows.shape}
        return Work({"gradient": job.gradient}, files, {"rows": known})


EVALUATION = EvaluationKind()
