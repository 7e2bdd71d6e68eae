"""Decoders as processes: what they get, and what the server says of one that ended before its work was done."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from PIL import Image
from service_process import Server

SPENT = "the body (images) needs more than the 512 MiB or 60 s that may be spent on reading it; send the array as .npy"
BROKEN = "the reader of images broke down; send it again, or send the array as .npy"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its decoders may use 512 MiB of address space and 60 s."""
    limits: dict[str, str | None] = {
        "WDIST_SERVER_DECODER_MEMORY_BYTES": str(512 << 20),
        "WDIST_SERVER_DECODER_SECONDS": "60",
    }
    with Server(tmp_path_factory.mktemp("decoders") / "data", ["--workers", "0"], limits) as running:
        yield running


def post(server: Server, body: bytes, kind: str) -> httpx.Response:
    return server.client.post("/v1/sample-sets", content=body, params={"format": kind}, timeout=60)


def many_images() -> bytes:
    """A few kilobytes each, and at least 30 ms to decode."""
    picture, buffer = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.zeros((4000, 4000), np.uint8)).save(picture, "png")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for k in range(200):
            file.writestr(f"{k:03}.png", picture.getvalue())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("number", "status", "says"),
    [
        *((number, 422, SPENT) for number in (signal.SIGKILL, signal.SIGXCPU, signal.SIGALRM)),
        *((number, 500, BROKEN) for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGTERM)),
    ],
)
def test_only_a_decoder_ended_by_its_limits_has_needed_too_much(
    server: Server, number: signal.Signals, status: int, says: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, server, many_images(), "images")
        while not (found := server.pids("decoder")):
            assert not answer.done(), answer.result().text
            time.sleep(0.01)
        os.kill(found[0], number)
    problem = answer.result().json()
    assert (answer.result().status_code, problem["detail"]) == (status, says)
    assert not list((server.data / "incoming").iterdir())
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if "broke down" in line]
    faults = [line for line in lines if line.get("exit_code") == -number]
    assert [line["level"] for line in faults] == ["error"] * (status == 500)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_decoder_that_needs_too_much_memory_ends_alone(server: Server, kind: str) -> None:
    body = io.BytesIO()
    if kind == "csv":  # Arrow aborts the process when it finds no memory for so many columns
        body.write(b"1" + b",1" * 100_000 + b"\n" + (b"2.5" + b",2.5" * 100_000 + b"\n") * 40)
    else:  # one row of 320 MB, which cannot be unpacked and converted; compressed it is a few bytes
        pa_parquet.write_table(pa.table({"x": pa.array([[0.0] * 40_000_000])}), body, compression="zstd")
    answer = post(server, body.getvalue(), kind)
    assert answer.status_code == 422, server.log_end()  # which has the last words of the decoder
    assert kind == "parquet" or "more than the 512 MiB" in answer.json()["detail"]
    assert server.client.get("/livez").status_code == 200


def test_a_decoder_out_of_time_is_ended(own_server: Callable[..., Server]) -> None:
    server = own_server("--workers", "0", decoder_seconds="1")
    answer = post(server, many_images(), "images")
    assert answer.status_code == 422
    assert "1 s" in answer.json()["detail"]
    assert not list((server.data / "incoming").iterdir())


def test_decoders_get_no_secrets() -> None:
    from wdist_service.decoding import runner

    assert set(runner._ENVIRONMENT).isdisjoint({"WDIST_SERVER_DATABASE_URL", "WDIST_API_KEY", "HOME"})
