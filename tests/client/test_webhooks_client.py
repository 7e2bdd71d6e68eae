"""Webhooks through both clients: registered, changed, tried and removed on a real server."""

import asyncio
import time

import pytest
from server_process import ServerProcess, free_port

from wdist_client import AsyncClient, Client, InvalidRequest, NotFound

pytestmark = pytest.mark.timeout(120)
URL = "https://example.org/hooks/wdist"
EVENTS = ["monitor.alarm_raised", "estimate.failed"]


def test_a_webhook_is_registered_changed_and_deleted(server: ServerProcess) -> None:
    with Client(server.url) as client:
        made = client.webhooks.create(URL, EVENTS, description="pager")
        assert made.secret.startswith("whsec_")
        assert made.secret not in repr(made) + str(made)
        assert (made.url, made.events, made.description, made.include_rows) == (URL, EVENTS, "pager", False)
        assert "secret" not in client.webhooks.get(made).model_dump()
        assert made.id in [each.id for each in client.webhooks.list()]
        changed = client.webhooks.change(made, events=["batch.finished"], enabled=False)
        assert (changed.events, changed.status, changed.url) == (["batch.finished"], "disabled", URL)
        rotated = client.webhooks.rotate(made.id)
        assert rotated.secret != made.secret
        assert rotated.previous_secret_until is not None
        client.webhooks.delete(made)
        with pytest.raises(NotFound):
            client.webhooks.get(made)


def test_what_is_refused_names_the_field(server: ServerProcess) -> None:
    with Client(server.url) as client:
        for url, events in ((f"http://127.0.0.1:{free_port()}", EVENTS), (URL, ["no.such_event"])):
            with pytest.raises(InvalidRequest) as caught:
                client.webhooks.create(url, events)
            assert caught.value.errors[0]["field"].split(".")[0] in ("url", "events")
        assert list(client.webhooks.list()) == []


def test_async_has_the_same_and_tells_of_deliveries(server: ServerProcess) -> None:
    async def story() -> None:
        async with AsyncClient(server.url) as client:
            made = await client.webhooks.create("https://nowhere.invalid/hook", EVENTS)
            try:
                sent = await client.webhooks.test(made)
                deadline = time.monotonic() + 30
                while (found := await client.webhooks.delivery(made, sent)).attempts == 0:
                    assert time.monotonic() < deadline, found
                    await asyncio.sleep(0.2)
                assert (found.event, found.webhook, found.payload["type"]) == ("webhook.ping", made.id, "webhook.ping")
                assert found.reason
                assert [each.id async for each in client.webhooks.deliveries(made, status=found.status)] == [sent.id]
                assert (await client.webhooks.retry(made, sent)).id == sent.id
                changed = await client.webhooks.change(made, description="still")
                assert (changed.description, (await client.webhooks.rotate(made)).id) == ("still", made.id)
                assert [each.id async for each in client.webhooks.list()] == [(await client.webhooks.get(made)).id]
            finally:
                await client.webhooks.delete(made)

    asyncio.run(story())


def test_a_local_client_has_no_webhooks() -> None:
    with Client(":local:") as client, pytest.raises(NotFound, match="a local client has no POST /v1/webhooks"):
        client.webhooks.create(URL, EVENTS)
