// Following an estimate: server-sent events read through fetch (EventSource cannot send a key), polling where they break off.

import * as api from "./api.js";

const ENDED = new Set(["succeeded", "failed", "canceled"]);
const PAUSES_SECONDS = [0.3, 0.5, 1, 2, 4];

export const hasEnded = (estimate) => ENDED.has(estimate.status);
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** Events {id, event, data} of a text/event-stream response. */
async function* parse(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { id: null, event: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, field, text] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
        if (field === "data") event.data += text;
        else if (field) event[field] = text;
      }
      if (event.data) yield { ...event, data: JSON.parse(event.data) };
    }
  }
}

/**
 * Calls onRecord(estimate) whenever the record may have changed and onPoint({step, seconds, value, ...}) for progress, until
 * the estimate has ended or `signal` is aborted. A lost connection is said to onTrouble(error) and tried again.
 */
export async function follow(id, { onRecord, onPoint, onTrouble, signal }) {
  let last = null;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const record = await api.estimate(id, signal);
      onTrouble(null);
      onRecord(record);
      if (hasEnded(record)) return;
      const headers = last === null ? {} : { "Last-Event-ID": last };
      const response = await api.send("GET", `/v1/estimates/${id}/events`, { headers, signal });
      for await (const event of parse(response)) {
        failures = 0;
        last = event.id ?? last;
        if (event.event === "progress") onPoint(event.data);
        else if (event.event === "status") onRecord(await api.estimate(id, signal));
        else if (event.event === "completed") break;
      }
    } catch (error) {
      if (signal.aborted) return;
      if ([401, 403].includes(error.status) || (error.status === 404 && last === null && failures > 2)) throw error;
      if (error.status !== 404) onTrouble(error);
      failures += 1;
    }
    await sleep(PAUSES_SECONDS[Math.min(failures, PAUSES_SECONDS.length - 1)]);
  }
}
