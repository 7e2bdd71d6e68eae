// Webhooks: addresses that are told of alarms and finished jobs, and the log of what was sent there. For administrators.

import * as api from "./api.js";
import { badge } from "./badge.js";
import { optionsOf, fetchContract } from "./contract.js";
import { alertBox, announce, h, option, quiet, rowHead, sleep, under, uniqueId } from "./dom.js";
import { when } from "./format.js";
import { cell, lineButton, Listing } from "./listing.js";

const POLL_SECONDS = 5;

const lead = "An address is told of alarms and of finished jobs, signed after the Standard Webhooks specification, again and again until it answers.";

/** Whether an address is told, as a badge. */
const stateBadge = ({ status, disabled_reason: reason }) => [h("span", { class: `badge ${status === "enabled" ? "succeeded" : "failed"}` }, status), reason && under(reason)];

/** A box for messages, and act(words, work): does the work, announces the words, refreshes; says what went wrong. */
function acting(refresh) {
  const message = h("div");
  const act = async (words, work) => {
    message.replaceChildren();
    try {
      const shown = await work();
      if (words) announce(words);
      await refresh();
      if (shown instanceof Element) message.append(shown);
    } catch (error) {
      message.replaceChildren(alertBox(error));
    }
  };
  return { message, act };
}

async function poll(signal, refresh) {
  while (!signal.aborted) {
    await sleep(POLL_SECONDS);
    if (!signal.aborted && !document.hidden) await refresh().catch(() => {}); // retried on the next poll
  }
}

const secretBox = ({ secret }) => h("section", { class: "note", role: "note", "aria-label": "Secret" }, h("p", null, "The secret that signs what is sent. It is shown only now: put it where the receiver can read it."), h("code", { class: "secret" }, secret));

export async function showWebhooks(main, signal) {
  const listing = new Listing("All addresses", ["Address", "State", "Events", "Made"], api.webhooks, (webhook) => h("tr", null, rowHead(h("a", { href: `#/webhooks/${webhook.id}` }, webhook.url), webhook.description && under(webhook.description)),
    cell("State", stateBadge(webhook)), cell("Events", webhook.events.join(", ")), cell("Made", when(webhook.created_at))), "None yet. Add one below.");
  const refresh = () => listing.load().then(() => listing.draw());
  const { message, act } = acting(refresh);
  main.append(h("section", { class: "stack" }, h("h1", null, "Webhooks"), h("p", { class: "lead" }, lead)), message);
  await refresh();
  main.append(listing.element, addForm(await fetchContract(), act));
  await poll(signal, refresh);
}

function addForm(contract, act) {
  const url = h("input", { type: "url", id: uniqueId("url"), placeholder: "https://", autocomplete: "off", required: true });
  const description = h("input", { type: "text", id: uniqueId("description"), autocomplete: "off" });
  const names = optionsOf(contract, "WebhookRequest").get("events").kinds[0].items.enum;
  const check = (name, label) => h("label", null, h("input", { type: "checkbox", name, checked: name.startsWith("monitor.alarm") }), label);
  const boxes = h("fieldset", { class: "checks" }, h("legend", null, "Events"), names.map((name) => check(name, name)));
  const rows = h("p", { class: "checks" }, check("include_rows", "send numbers of unusual rows and names of columns, too"));
  const submit = (event) => {
    event.preventDefault();
    const events = [...boxes.querySelectorAll(":checked")].map(({ name }) => name);
    act("The address is added.", async () => {
      const made = await api.createWebhook({ url: url.value.trim(), events, include_rows: rows.querySelector("input").checked, ...(description.value.trim() && { description: description.value.trim() }) });
      url.value = description.value = "";
      return secretBox(made);
    });
  };
  const field = (label, control) => option(h("label", { for: control.id }, label), control);
  return h("form", { class: "card", novalidate: true, onsubmit: submit }, h("h2", null, "Add an address"), field("Address", url), field("Description", description), boxes, rows, h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Add")));
}

export async function showWebhook(main, signal, id) {
  const head = h("section", { class: "stack" });
  const log = new Listing("Deliveries", ["Event", "State", "Attempts", "Answer", "Next try", "Made", ""], (after) => api.deliveries(id, after), line, "Nothing was sent yet. Send a test.");
  async function refresh() {
    const webhook = await api.webhook(id, signal);
    if (JSON.stringify(webhook) !== head.shown) head.replaceChildren(...heading(webhook));
    head.shown = JSON.stringify(webhook);
    await log.load();
    log.draw();
  }
  const { message, act } = acting(refresh);
  const button = (words, said, work) => quiet(() => act(said, work), words);
  function heading(webhook) {
    const isOn = webhook.status === "enabled";
    return [h("h1", { class: "pair" }, webhook.url), h("p", null, stateBadge(webhook), ` ${webhook.events.join(", ")}`), webhook.description && h("p", { class: "soft" }, webhook.description),
      h("div", { class: "files" }, button("Send a test", "A test is on its way.", () => api.testWebhook(id)), button(isOn ? "Disable" : "Enable", null, () => api.changeWebhook(id, { enabled: !isOn })),
        button("New secret", "There is a new secret.", async () => confirm("Make a new secret? The old one signs beside it for a while.") && secretBox(await api.rotateSecret(id))),
        button("Delete", null, async () => {
          if (!confirm(`Delete the webhook of ${webhook.url}?`)) return;
          await api.deleteWebhook(id);
          location.hash = "#/webhooks";
        }))].filter(Boolean);
  }
  function line(delivery) {
    return h("tr", null, rowHead(delivery.event), cell("State", badge(delivery.status)), cell("Attempts", delivery.attempts), cell("Answer", delivery.response_status ?? "–", delivery.reason && under(delivery.reason)),
      cell("Next try", delivery.next_attempt_at ? when(delivery.next_attempt_at) : "–"), cell("Made", when(delivery.created_at)), h("td", { class: "number" }, lineButton("Send again", delivery.event, () => act("It is sent again.", () => api.retryDelivery(id, delivery.id)))));
  }
  main.append(head, message, log.element);
  await refresh();
  await poll(signal, refresh);
}
