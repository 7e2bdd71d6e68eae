"""What Schemathesis cannot know: ids of what exists, and how the bytes of an upload are sent."""

import json
import os
from typing import Any

import schemathesis

IDS = json.loads(os.environ.get("WDIST_IDS", "{}"))  # parameter of a path -> ids that exist
SETS = IDS.get("sample_set_id", [])


@schemathesis.serializer("application/offset+octet-stream")
def raw(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Half of the generated estimates and batches compare sets that exist."""
    if isinstance(body, dict) and len(str(body)) % 2:
        if isinstance(body.get("source"), str):
            body |= {"source": SETS[0], "target": SETS[-1]}
        if isinstance(body.get("matrix"), list):
            body["matrix"] = SETS[:2]
    return body


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Half of the requests are for something that exists, as long as nothing has deleted it."""
    if isinstance(path_parameters, dict) and len(str(path_parameters)) % 2:
        path_parameters |= {name: IDS[name][0] for name in path_parameters if name in IDS}
    return path_parameters
