// The state of a job in words.

import { h } from "./dom.js";

export const STATUS_WORDS = {
  queued: "waiting its turn", running: "running", canceling: "stopping", succeeded: "done", failed: "failed", canceled: "stopped",
};

export const badge = (status) => h("span", { class: `badge ${status}` }, STATUS_WORDS[status] ?? status);
