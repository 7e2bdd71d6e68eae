"""The kinds of jobs that the queue carries. A new kind is a subclass of JobKind, its runner, and a line here."""

from __future__ import annotations

from wdist_service.estimates.job import ESTIMATE
from wdist_service.evaluations.job import EVALUATION
from wdist_service.monitors.job import MONITOR_UPDATE
from wdist_service.queue.kinds import Kinds
from wdist_service.webhooks.following import follow
from wdist_service.webhooks.job import DELIVERY

KINDS = Kinds(ESTIMATE, EVALUATION, MONITOR_UPDATE, DELIVERY, followers=(follow,))
