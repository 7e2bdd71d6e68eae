// Follows an estimate by server-sent events, read with fetch because EventSource cannot send a key. Falls back to polling.

import * as api from "./api.js";
import { sleep } from "./dom.js";

const ENDED = new Set(["succeeded", "failed", "canceled"]);
const SILENT_SECONDS = 3; // after which the server is asked whether it is there; trainers report more often
const PAUSES_SECONDS = [0.3, 0.5, 1, 2, 4];

export const hasEnded = (estimate) => ENDED.has(estimate.status);

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
 * the estimate has ended or `signal` is aborted. A lost connection is reported to onTrouble(error) and retried.
 */
export async function follow(id, { onRecord, onPoint, onTrouble, signal }) {
  const position = { last: null };
  let failures = 0;
  while (!signal.aborted) {
    try {
      const record = await isThere(id, signal);
      onTrouble(null);
      onRecord(record);
      if (hasEnded(record)) return;
      if (await listen(id, position, { onRecord, onPoint, signal })) failures = 0;
      else failures += 1;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error; // a retry would fail the same way
      onTrouble(error);
      failures += 1;
    }
    await sleep(PAUSES_SECONDS[Math.min(failures, PAUSES_SECONDS.length - 1)]);
  }
}

/** An error unless the server answers soon: one that hangs keeps its connections open. */
async function isThere(id, signal) {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(1000 * SILENT_SECONDS)]);
  return api.estimate(id, limit).catch((error) => {
    throw limit.aborted && !signal.aborted ? api.unreachable() : error;
  });
}

/** Reads the event stream until it ends. False if it was empty, as behind a proxy that buffers streams. */
async function listen(id, position, { onRecord, onPoint, signal }) {
  let isAlive = false;
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  let lost = null;
  let timer = null;
  const ask = () => isThere(id, both).then((record) => (onRecord(record), heard()), (error) => ((lost = error), stop.abort()));
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 1000 * SILENT_SECONDS);
  };
  try {
    heard();
    addEventListener("offline", ask, { signal: both }); // what has arrived may still be read for a while
    const headers = position.last === null ? {} : { "Last-Event-ID": position.last };
    const response = await api.send("GET", `/v1/estimates/${encodeURIComponent(id)}/events`, { headers, signal: both });
    for await (const event of parse(response)) {
      isAlive = true;
      heard();
      position.last = event.id ?? position.last;
      if (event.event === "progress") onPoint(event.data);
      else if (event.event === "status") onRecord(await api.estimate(id, both));
      else if (event.event === "completed") return true;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    if (lost) throw lost;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
  return isAlive;
}
