// The frame around the views: routing by the URL fragment, the API key, and the server's version.

import * as api from "./api.js";
import { alertBox, byId, h } from "./dom.js";
import { showCompare } from "./compare.js";

/** A view whose module is not needed for the start page: the browser has fetched it by then, as the page names all modules. */
const later = (module, name) => async (...given) => {
  const loaded = await import(`./${module}.js`).catch(() => Promise.reject(api.unreachable()));
  return loaded[name](...given);
};

// Path pattern, title, view(main, signal, id). A view stops working when its signal is aborted.
const ROUTES = [
  [/^\/$/, "Compare two sample sets", showCompare],
  [/^\/estimates\/(est_\w+)$/, "Estimate", later("estimate", "showEstimate")],
  [/^\/jobs$/, "Jobs", later("jobs", "showJobs")],
  [/^\/runs\/(est_\w+(?:,est_\w+)+)$/, "Compare runs", later("runs", "showRuns")],
  [/^\/matrix$/, "Matrix of distances", later("matrix", "showMatrix")],
  [/^\/batches\/(\w+)$/, "Matrix of distances", later("matrix", "showBatch")],
  [/^\/monitors$/, "Monitors", later("monitors", "showMonitors")],
  [/^\/monitors\/(mon_\w+)$/, "Monitor", later("monitor", "showMonitor")],
  [/^\/webhooks$/, "Webhooks", later("webhooks", "showWebhooks")],
  [/^\/webhooks\/(\w+)$/, "Webhook", later("webhooks", "showWebhook")],
];

let leaving = new AbortController();
let isFirst = true;

async function route() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const path = location.hash.slice(1) || "/";
  const found = ROUTES.find(([pattern]) => pattern.test(path));
  const main = byId("main");
  for (const link of document.querySelectorAll("nav a")) {
    link.toggleAttribute("aria-current", false);
    if (link.hash.slice(1) === path) link.setAttribute("aria-current", "page");
  }
  if (!found) {
    main.replaceChildren(h("h1", null, "There is no such page"), h("p", null, h("a", { href: "#/" }, "Compare two sample sets")));
    return;
  }
  const [pattern, title, view] = found;
  document.title = `${title} · wdist`;
  main.replaceChildren();
  if (!isFirst) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  isFirst = false;
  try {
    await view(main, signal, ...pattern.exec(path).slice(1));
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof api.ApiError)) console.error(error);
    main.append(alertBox(error, route));
  }
}

function askForKey() {
  const dialog = byId("key-dialog");
  byId("key-input").value = "";
  dialog.returnValue = "";
  dialog.showModal();
}

function onKeyDialogClosed() {
  if (byId("key-dialog").returnValue !== "use") return;
  api.useKey(byId("key-input").value);
  byId("key-input").value = "";
  byId("key-button").textContent = api.hasKey() ? "API key ✓" : "API key";
  byId("key-button").setAttribute("aria-label", api.hasKey() ? "API key: one is in use" : "API key");
  byId("banner").replaceChildren();
  route();
}

function onKeyNeeded() {
  byId("key-button").textContent = "API key";
  const text = api.hasKey() ? "This server does not know that key." : "This server asks for an API key.";
  byId("banner").replaceChildren(h("div", { class: "alert", role: "alert" }, h("p", null, h("strong", null, text), " Nothing can be uploaded or read without one."),
    h("button", { onclick: askForKey }, "Enter a key")));
}

async function describeServer() {
  try {
    const [{ version }, state] = await Promise.all([api.version(), api.readiness()]);
    const workers = state.workers?.fresh;
    const words = workers === undefined ? "not ready" : workers === 0 ? "no worker is running: estimates will wait" : `${workers} worker${workers === 1 ? "" : "s"} ready`;
    byId("server").textContent = `wdist ${version} · ${words}`;
  } catch {
    byId("server").textContent = "The server does not answer.";
  }
}

/** Says for as long as requests wait for a busy server that they do. */
function onServerBusy({ detail: { waiting } }) {
  const note = byId("busy");
  note.textContent = waiting > 0 ? "The server is busy; trying again …" : "";
  note.hidden = waiting === 0;
}

// A file dropped outside a drop zone must not replace the page.
for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());
addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", (event) => (event.preventDefault(), byId("main").focus()));
addEventListener("key-needed", onKeyNeeded);
addEventListener("server-busy", onServerBusy);
byId("key-button").addEventListener("click", askForKey);
byId("key-close").addEventListener("click", () => byId("key-dialog").close()); // Enter presses the first submit button
byId("key-dialog").addEventListener("close", onKeyDialogClosed);
await Promise.all([route(), describeServer()]);
