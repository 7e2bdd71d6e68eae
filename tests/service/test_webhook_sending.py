"""One request to a receiver that behaves badly: it costs no more than its time, and what it says stays harmless."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest
from webhook_receiver import Receiver, self_signed

from wdist_service.webhooks import sending
from wdist_service.webhooks.sending import KEPT_CHARACTERS, Answer, SendingError, post

_PRIVATE = [ip_network("127.0.0.0/8")]
_SECONDS = 1.5


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with Receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


def sent(url: str, body: bytes = b"{}") -> Answer:
    return post(url, _PRIVATE, {"webhook-id": "evt_1"}, body, _SECONDS)


def test_what_is_sent(receiver: Receiver) -> None:
    body = b'{"type":"x"}' * 20_000
    assert sent(receiver.url("/ok?token=1"), body).is_success
    (noted,) = receiver.requests("/ok?token=1")
    assert noted["body"].encode() == body
    assert noted["headers"] == {
        "host": f"127.0.0.1:{receiver.port}", "connection": "close", "content-length": str(len(body)),
        "webhook-id": "evt_1",
    }  # fmt: skip


@pytest.mark.parametrize("status", [200, 201, 299])
def test_success(receiver: Receiver, status: int) -> None:
    answer = sent(receiver.url(f"/status/{status}"))
    assert answer.is_success
    assert answer.body.startswith(f"{status} <script>")
    assert len(answer.body) == KEPT_CHARACTERS
    assert "\x1b" not in answer.body


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
def test_failure(receiver: Receiver, status: int) -> None:
    answer = sent(receiver.url(f"/status/{status}"))
    assert not answer.is_success
    assert answer.reason == f"the receiver answered {status}"


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    before = len(receiver.requests("/ok"))
    answer = sent(receiver.url("/redirect"))
    assert (answer.status, answer.is_success) == (307, False)
    assert "redirects are not followed" in answer.reason
    assert len(receiver.requests("/ok")) == before


def test_a_pause_that_the_receiver_asks_for(receiver: Receiver) -> None:
    assert sent(receiver.url("/busy/7")).retry_after == 7
    assert sent(receiver.url("/busy/99999999999")).retry_after == 86_400
    assert sent(receiver.url("/busy/soon")).retry_after is None
    assert sent(receiver.url("/busy/Wed,%2021%20Oct%202015%2007:28:00%20GMT")).retry_after is None
    assert sent(receiver.url("/status/503")).retry_after is None


def test_no_receiver_takes_more_than_its_time(receiver: Receiver) -> None:
    started = time.monotonic()

    def outcome(path: str) -> str:
        with pytest.raises(SendingError) as raised:
            sent(receiver.url(path))
        return str(raised.value)

    with ThreadPoolExecutor() as pool:
        found = set(pool.map(outcome, ["/never", "/slow/20", "/drip", "/patience"]))
    assert found == {"no answer within 2 s"}
    assert time.monotonic() - started < _SECONDS + 1


@pytest.mark.parametrize("path", ["/chunks", "/short"])
def test_the_status_counts_whatever_the_body_is(receiver: Receiver, path: str) -> None:
    answer = sent(receiver.url(path))
    assert answer.is_success
    assert answer.body == "hello"


def test_an_answer_before_the_body_is_read(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b" " * (32 << 20)  # more than the buffers of the connection hold
    assert sent(receiver.url("/early"), body).reason == "the receiver answered 413"
    certificate = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    sending._tls.cache_clear()
    with Receiver(tmp_path, certificate) as over_tls:
        assert sent(over_tls.url("/early", "localhost"), body).reason == "the receiver answered 413"
        assert sent(over_tls.url("/ok", "localhost"), b" " * (1 << 20)).is_success
    sending._tls.cache_clear()


@pytest.mark.parametrize("path", ["/informational", "/head", "/garbage", "/close", "/reset", "/upgrade", "/frames"])
def test_what_is_no_answer(receiver: Receiver, path: str) -> None:
    with pytest.raises(SendingError, match="no answer"):
        sent(receiver.url(path))


def test_a_body_of_a_gigabyte_is_hardly_read(receiver: Receiver) -> None:
    started = time.monotonic()
    answer = sent(receiver.url("/gigabyte"))
    assert answer.is_success
    assert answer.body == "x" * KEPT_CHARACTERS
    assert time.monotonic() - started < 1


def test_nobody_listens(receiver: Receiver, tmp_path: Path) -> None:
    with Receiver(tmp_path) as gone:
        url = gone.url("/ok")
    with pytest.raises(SendingError, match="refused"):
        sent(url)


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert sent(receiver.url("/ok")).is_success


def test_what_may_not_be_reached_gets_no_connection(receiver: Receiver) -> None:
    before = len(receiver.requests())
    for url in (receiver.url("/ok"), f"https://localhost:{receiver.port}/ok"):
        with pytest.raises(SendingError, match="the address is refused"):
            post(url, [], {}, b"{}", _SECONDS)
    assert len(receiver.requests()) == before


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path, "localhost")
    with Receiver(tmp_path, certificate) as receiver:
        sending._tls.cache_clear()
        with pytest.raises(SendingError, match="certificate is not valid: self-signed"):
            sent(receiver.url("/ok", "localhost"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        sending._tls.cache_clear()
        assert sent(receiver.url("/ok", "localhost")).is_success
        with pytest.raises(SendingError, match="not valid: IP address mismatch"):
            sent(receiver.url("/ok"))
        assert len(receiver.requests()) == 1
    (tmp_path / "expired").mkdir()
    expired = self_signed(tmp_path / "expired", "localhost", is_expired=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(expired[0]))
    sending._tls.cache_clear()
    with Receiver(tmp_path / "expired", expired) as receiver:
        with pytest.raises(SendingError, match="certificate is not valid: certificate has expired"):
            sent(receiver.url("/ok", "localhost"))
        assert receiver.requests() == []
    sending._tls.cache_clear()


def test_a_plain_server_is_no_tls(receiver: Receiver) -> None:
    with pytest.raises(SendingError, match="no answer"):
        sent(receiver.url("/ok").replace("http:", "https:"))
