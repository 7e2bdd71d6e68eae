"""What the client does when the server or the network misbehaves; answers come over real sockets."""

import asyncio
import hashlib
import io
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest
from scripted_server import Answer, Asked, ScriptedServer
from server_process import free_port

from wdist_client import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    BadRequest,
    Client,
    Conflict,
    InvalidRequest,
    NotFound,
    OptionError,
    PermissionDenied,
    RateLimited,
    ServerError,
    StorageFull,
    TooLarge,
    UnexpectedAnswerError,
    UnsupportedFormat,
    w1,
)
from wdist_client.requests import retry_after

SET: dict[str, Any] = {
    "id": "ss_1", "object": "sample_set", "name": None, "sha256": "00", "bytes": 1, "rows": 1, "shape": [1, 1],
    "dtype": "float32", "created_at": "2026-01-01T00:00:00Z", "statistics": {}, "a_newer_field": {"kept": True},
}  # fmt: skip
JOB: dict[str, Any] = {"id": "est_1", "status": "queued", "source": "ss_1", "target": "ss_2"}
ONES = np.ones((4, 2), np.float32)
EMPTY = {"data": [], "has_more": False, "next": None}
BUSY = Answer(503, {"title": "Busy", "detail": "Try again."})


def stored(rows: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The record of a set that holds these rows: the client compares its digest with what it sent."""
    file = io.BytesIO()
    np.save(file, rows)
    return {**SET, "sha256": hashlib.sha256(file.getvalue()).hexdigest()}


def get_set(answers: list[Answer], retries: int = 4) -> tuple[Any, list[Asked]]:
    with ScriptedServer(answers) as server, Client(server.url, max_retries=retries) as client:
        return client.sample_sets.get("ss_1"), server.asked


@pytest.mark.parametrize("first", [Answer(s) for s in (408, 429, 500, 502, 503, 504)] + [Answer(hang_up=True)])
def test_passing_faults_are_tried_again(first: Answer) -> None:
    found, asked = get_set([first, Answer(200, SET)])
    assert found.id == "ss_1"
    assert found.a_newer_field == {"kept": True}
    assert len(asked) == 2


def test_it_gives_up_with_what_the_server_said() -> None:
    with ScriptedServer([BUSY]) as server, Client(server.url, max_retries=2) as client:
        with pytest.raises(ServerError, match="Try again"):
            client.sample_sets.get("ss_1")
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest), (401, AuthenticationError), (403, PermissionDenied), (404, NotFound), (409, Conflict),
        (413, TooLarge), (415, UnsupportedFormat), (422, InvalidRequest), (418, APIStatusError), (507, StorageFull),
    ],
)  # fmt: skip
def test_what_the_server_means_is_not_repeated(status: int, kind: type[APIStatusError]) -> None:
    problem = {
        "title": "T",
        "detail": "Not so.",
        "errors": [{"field": "seed", "message": "too large"}],
        "request_id": "r1",
    }
    with ScriptedServer([Answer(status, problem)]) as server, Client(server.url) as client:
        with pytest.raises(kind, match=rf"Not so: seed: too large \(HTTP {status}, request r1\)") as caught:
            client.sample_sets.get("ss_1")
        assert type(caught.value) is kind
        assert caught.value.errors == problem["errors"]
        assert len(server.asked) == 1


def test_retry_after_is_obeyed() -> None:
    started = time.monotonic()
    get_set([Answer(429, {}, {"Retry-After": "1"}), Answer(200, SET)])
    assert time.monotonic() - started >= 1.0


def test_a_server_that_stays_busy_is_told_in_words() -> None:
    busy = Answer(503, {"title": "Busy", "detail": "Too many uploads"}, {"Retry-After": "1"})
    started = time.monotonic()
    with pytest.raises(ServerError, match=r"Too many uploads .HTTP 503.; the server is still busy: try again in 1 s"):
        get_set([busy, busy], retries=1)
    assert time.monotonic() - started >= 1.0


def test_a_long_retry_after_is_handed_to_the_caller() -> None:
    with pytest.raises(RateLimited) as caught:
        get_set([Answer(429, {}, {"Retry-After": "3600"})])
    assert caught.value.retry_after == 3600


def test_retry_after_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after(soon) == pytest.approx(30, abs=2)
    assert retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0
    assert retry_after("nonsense") is None


def test_a_repeated_post_carries_the_same_key_and_the_whole_body() -> None:
    script = [
        Answer(200, EMPTY),
        BUSY,
        Answer(hang_up=True),
        Answer(201, stored(ONES)),
        BUSY,
        Answer(202, JOB),
        Answer(202, JOB),
    ]
    with ScriptedServer(script) as server, Client(server.url) as client:
        client.sample_sets.create(ONES, name="rows")
        client.estimates.create("ss_1", "ss_2", confidence=0.9)
        client.estimates.create("ss_1", "ss_2", confidence=0.9)
    uploads, jobs = server.asked[1:4], server.asked[4:]
    assert {(u.method, u.path, u.body) for u in uploads} == {("POST", "/v1/sample-sets?name=rows", uploads[0].body)}
    assert len({u.headers["idempotency-key"] for u in uploads}) == 1
    assert uploads[0].headers["content-length"] == str(len(uploads[0].body))
    assert "transfer-encoding" not in uploads[0].headers
    assert (
        jobs[0].headers["idempotency-key"] == jobs[1].headers["idempotency-key"] != jobs[2].headers["idempotency-key"]
    )


def test_a_delete_whose_answer_was_lost_has_worked() -> None:
    gone = Answer(404, {"title": "Not found"})
    with ScriptedServer([Answer(hang_up=True), gone]) as server, Client(server.url) as client:
        client.sample_sets.delete("ss_1")
        with pytest.raises(NotFound):
            client.sample_sets.delete("ss_1")
        assert len(server.asked) == 3


def test_no_server_says_how_to_start_one() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(APIConnectionError, match=r"wdist serve.*WDIST_BASE_URL"):
        w1([[0.0]], [[1.0]], base_url=url)
    with Client(url, max_retries=1) as client, pytest.raises(APIConnectionError):
        client.version()


def test_another_program_on_the_port_is_called_so() -> None:
    page = Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"})
    with ScriptedServer([page]) as server, Client(server.url) as client:
        with pytest.raises(UnexpectedAnswerError, match="is this address that of a wdist server"):
            client.sample_sets.get("ss_1")
        with pytest.raises(UnexpectedAnswerError):
            client.version()


def test_an_answer_without_needed_fields_is_no_success() -> None:
    with pytest.raises(UnexpectedAnswerError, match="update wdist-client or the server"):
        get_set([Answer(200, {"id": "ss_1"})])


def test_silence_is_a_timeout() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout=0.2, max_retries=0) as client, pytest.raises(APITimeoutError, match="in time"):
            client.version()


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host", "nonsense"])
def test_an_address_without_scheme_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="give it like http"):
        Client(address)


@pytest.mark.parametrize("wrong", ["", "../keys", "ss_1/../2", 3, [[1.0]]])
def test_what_is_no_id_is_not_sent(wrong: Any) -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(OptionError):
            client.sample_sets.get(wrong)
        with pytest.raises(OptionError):
            client.estimates.create(wrong, "ss_2")


def test_an_option_that_json_has_no_word_for() -> None:
    said = "confidence is nan; it must be a finite number"
    with Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(OptionError, match=said):
        client.estimates.create("ss_1", "ss_2", confidence=float("nan"))


def test_environment_names_server_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([Answer(200, {"version": "1"})]) as server:
        monkeypatch.setenv("WDIST_BASE_URL", server.url + "/")
        monkeypatch.setenv("WDIST_API_KEY", "wd_secret")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")  # a proxy cannot reach our loopback
        with Client() as client:
            assert client.version() == {"version": "1"}
        assert server.asked[0].headers["authorization"] == "Bearer wd_secret"


def test_pages_are_followed_to_the_end() -> None:
    pages = [
        Answer(200, {"data": [SET], "has_more": True, "next": "c1"}),
        Answer(200, {"data": [SET, SET], "has_more": False, "next": None}),
    ]
    with ScriptedServer(pages) as server, Client(server.url) as client:
        assert len(list(client.sample_sets.list())) == 3
        assert "after=c1" in server.asked[1].path


def test_async_retries_alike() -> None:
    async def create(url: str) -> str:
        async with AsyncClient(url) as client:
            return (await client.sample_sets.create(ONES)).id

    with ScriptedServer([Answer(200, EMPTY), BUSY, Answer(hang_up=True), Answer(201, stored(ONES))]) as server:
        assert asyncio.run(create(server.url)) == "ss_1"
    assert server.asked[1].body == server.asked[2].body == server.asked[3].body != b""
