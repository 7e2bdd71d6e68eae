"""`wdist tidy`: apply the limits of the settings to what a server keeps, or show what they would remove."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, Switch
from wdist.cli.output import EX_CONFIG, fail, remark, say
from wdist_service.commands.serve import DatabaseUrl, DataFolder

if TYPE_CHECKING:
    from wdist_service.retention.service import Forgotten


def tidy(
    *,
    dry_run: Annotated[Switch, Parameter(help="show what would be removed, and remove nothing")] = False,
    data: DataFolder = None,
    database_url: DatabaseUrl = None,
    as_json: Annotated[AsJson, Parameter(help="print what is removed as JSON")] = False,
) -> int:
    """Remove what goes beyond the limits in WDIST_SERVER_RETENTION; returns the exit status."""
    from sqlalchemy.exc import DatabaseError

    from wdist_service.database import Database, file_of
    from wdist_service.decoding.runner import Decoders
    from wdist_service.errors import StorageUnavailableError
    from wdist_service.installation import check_storage
    from wdist_service.retention.service import Retention
    from wdist_service.sample_sets.service import SampleSets
    from wdist_service.settings import SettingsError, load
    from wdist_service.storage.objects import open_storage

    try:
        settings = load(data=data, database_url=database_url)
        file = file_of(settings)
        if file is not None and not file.exists():
            return fail(f"no server keeps its data in {settings.data}, there is no {file}: name its --data", EX_CONFIG)
        with contextlib.closing(Database(settings)) as database:
            if not database.is_current:
                return fail("the tables are of another version; start `wdist serve` of this one first", EX_CONFIG)
            storage = open_storage(settings)
            check_storage(database, storage)
            sets = SampleSets(database, storage, Decoders(settings))
            retention = Retention(database, storage, sets, settings.retention)
            forgotten = retention.plan() if dry_run else retention.apply()
    except SettingsError as error:
        return fail(str(error), EX_CONFIG)
    except (DatabaseError, StorageUnavailableError, OSError) as error:
        return fail(f"the server's data cannot be used: {error}")
    if as_json:
        say(json.dumps(_record(forgotten, is_dry=dry_run), indent=2))
        return 0
    _tell(forgotten, is_dry=dry_run)
    if settings.retention.is_off:
        remark("no limits are set (WDIST_SERVER_RETENTION), so that only events are compacted")
    return 0


def _tell(forgotten: Forgotten, *, is_dry: bool) -> None:
    verb = "would remove" if is_dry else "removed"
    for removal in forgotten.removals:
        entry = removal.entry
        say(f"{verb} {entry.kind} {entry.id} of {entry.tenant_id}: {removal.reason}")
    counts = Counter(removal.entry.kind for removal in forgotten.removals)
    size = sum(removal.entry.bytes for removal in forgotten.removals)
    batches, estimates, sets = (counts[kind] for kind in ("batch", "estimate", "sample set"))
    say(
        f"{verb} {batches:,} batches, {estimates:,} other estimates and {sets:,} sample sets with {size:,} bytes, and "
        f"{forgotten.events:,} events"
    )


def _record(forgotten: Forgotten, *, is_dry: bool) -> dict[str, object]:
    removals = [
        {
            "kind": each.entry.kind, "id": each.entry.id, "tenant": each.entry.tenant_id, "bytes": each.entry.bytes,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.entry.at)), "reason": each.reason,
        }
        for each in forgotten.removals
    ]  # fmt: skip
    return {"dry_run": is_dry, "removals": removals, "events": forgotten.events}
