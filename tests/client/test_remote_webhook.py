"""`wdist remote webhook` on a real server and to a real receiver: what is printed where, and exit statuses."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from server_process import ServerProcess, free_port
from standardwebhooks import Webhook

from wdist_client.command import main

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is sent, and answers `status`."""

    status = 204
    heard: list[tuple[bytes, dict[str, str]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((body, dict(self.headers)))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def private_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    private = {"WDIST_SERVER_WEBHOOK_PRIVATE": '["127.0.0.0/8"]'}
    with ServerProcess(tmp_path_factory.mktemp("hooks") / "data", environment=private) as running:
        yield running


@pytest.fixture
def receiver(private_server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Receiver]]:
    monkeypatch.setenv("WDIST_BASE_URL", private_server.url)
    handler = type("Fresh", (Receiver,), {"heard": []})
    with HTTPServer(("127.0.0.1", 0), handler) as listening:
        handler.url = f"http://127.0.0.1:{listening.server_port}/hooks"  # type: ignore[attr-defined]
        Thread(target=listening.serve_forever, daemon=True).start()
        yield handler
        listening.shutdown()


class Ran:
    """One command: what it printed, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.status = main(("webhook", *arguments))
        self.out, self.err = capsys.readouterr()


def test_an_address_is_registered_tried_and_given_a_new_secret(
    capsys: pytest.CaptureFixture[str], receiver: type[Receiver]
) -> None:
    made = Ran(capsys, "create", receiver.url, "--description", "pager")  # type: ignore[attr-defined]
    assert made.status == 0, made.err
    name, secret = made.out.split()
    assert secret not in made.err
    ping = Ran(capsys, "test", name)
    assert (ping.status, ping.out) == (0, "succeeded, answered 204\n")
    body, headers = receiver.heard[0]
    assert Webhook(secret).verify(body, headers)["type"] == "webhook.ping"
    second = Ran(capsys, "rotate", name).out.split()[1]
    assert second != secret
    shown = Ran(capsys, "show", name).out
    assert "pager" in shown
    assert "monitor.alarm_raised, monitor.alarm_cleared" in shown
    assert secret not in shown
    assert second not in shown
    assert f"{name} is disabled" in Ran(capsys, "disable", name).out
    assert Ran(capsys, "enable", name).status == Ran(capsys, "delete", name).status == 0
    assert name not in Ran(capsys, "list").out


def test_what_a_receiver_refused_is_listed_and_sent_again(
    capsys: pytest.CaptureFixture[str], receiver: type[Receiver]
) -> None:
    receiver.status = 500
    name = Ran(capsys, "create", receiver.url, "--event", "batch.finished").out.split()[0]  # type: ignore[attr-defined]
    ping = Ran(capsys, "test", name)
    assert ping.status == 1
    assert ping.out.startswith("queued, answered 500, tried again at ")
    listed = json.loads(Ran(capsys, "deliveries", name, "--json").out)
    assert [each["response_status"] for each in listed] == [500]
    receiver.status = 204
    assert Ran(capsys, "retry", name, listed[0]["id"]).status == 0
    assert json.loads(Ran(capsys, "delivery", name, listed[0]["id"]).out)["payload"]["type"] == "webhook.ping"
    Ran(capsys, "delete", name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "https://example.org/hook", "--event", "monitor.alarm"), "events"),
        (("create", f"http://10.0.0.1:{free_port()}/hook"), "10.0.0.1"),
        (("retry", "wh_x"), "give --failed for all that failed"),
        (("show", "wh_x"), "wh_x"),
    ],
)
def test_what_is_refused_is_one_line(
    capsys: pytest.CaptureFixture[str], receiver: type[Receiver], arguments: tuple[str, ...], said: str
) -> None:
    ran = Ran(capsys, *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
