// The HTTP API: one function per request of the page. The key is kept in this module's memory and nowhere else.

import { patiently } from "./patience.js";

// This file is page/api.js of the server, which a proxy may serve under a path.
const root = new URL("..", import.meta.url);
/** The server's address, without a slash at its end. */
export const server = root.href.replace(/\/$/, "");
const address = (path) => new URL(path.slice(1), root);

let key = null;

export const hasKey = () => key !== null;
export function useKey(text) {
  key = text.trim() || null;
  dispatchEvent(new CustomEvent("key-changed"));
}

/** An error for people: title, message, next (what to do), status, fields {name: message}, detail (the server's words). */
export class ApiError extends Error {
  constructor(title, message, next, status = 0, fields = {}, detail = null) {
    super(message);
    Object.assign(this, { title, next, status, fields, detail });
  }
}

const NEXT = {
  401: "Enter an API key with the button at the top right.",
  404: "It may have been deleted. Start again, or look at the list of jobs.",
  413: "Send fewer rows, or ask the operator to raise the limit.",
  415: "Save the data in one of these forms, then drop that file.",
  429: "Wait a little, then try again.",
  503: "Wait a moment, then try again.",
  507: "Delete sample sets that are not needed any more, or ask the operator for more disk space.",
};

export function unreachable() {
  return new ApiError("The server does not answer.", "The request did not arrive, or the answer was lost.", "Check that wdist serve is running and that you are connected, then try again.");
}

function failure(status, text) {
  let problem = {};
  try {
    problem = JSON.parse(text);
  } catch {
    // not from the server itself, perhaps from a proxy in front of it
  }
  if (status === 401) dispatchEvent(new CustomEvent("key-needed"));
  const fields = Object.fromEntries((problem.errors ?? []).map((each) => [each.field, each.message]));
  const reference = status >= 500 && problem.request_id ? `Try again; if it stays, give the operator the request's id: ${problem.request_id}.` : null;
  return new ApiError(`${problem.title ?? `The server answered ${status}`}.`, sentence(problem.detail ?? ""), NEXT[status] ?? reference, status, fields, problem.detail);
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "");

const authorized = (headers = {}) => (key ? { ...headers, Authorization: `Bearer ${key}` } : headers);

/** One request; resolves to the Response when its status is below 400, and throws an ApiError otherwise. Waits for a busy server. */
export async function send(method, path, { json, body, headers, signal } = {}) {
  const all = authorized(headers);
  if (json !== undefined) all["Content-Type"] = "application/json";
  let response;
  try {
    response = await patiently(() => fetch(address(path), { method, headers: all, body: json === undefined ? body : JSON.stringify(json), signal, cache: "no-store" }), signal);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.status >= 400) throw failure(response.status, await response.text());
  return response;
}

const get = async (path, options) => (await send("GET", path, options)).json();
const post = async (path, json, options) => (await send("POST", path, { json, ...options })).json();
/** Values as parameters of an address; a list is given as often as it has values. */
const query = (values) => new URLSearchParams(Object.entries(values).flatMap(([name, value]) => [value].flat().filter((each) => each !== undefined && each !== null).map((each) => [name, each])));

export const contract = () => get("/openapi.json");
export const version = () => get("/version");
export const readiness = async () => {
  const response = await patiently(() => fetch(address("/readyz"), { cache: "no-store" }));
  return response.json(); // also where it is not ready
};

const sets = new Map(); // a cache: sample sets never change

export async function sampleSet(id) {
  if (!sets.has(id)) sets.set(id, await get(`/v1/sample-sets/${encodeURIComponent(id)}`));
  return sets.get(id);
}
export const sampleSets = (after) => get(`/v1/sample-sets?${query({ limit: 50, after })}`);
/** Names the columns of a stored table; resolves to the set. */
export async function nameColumns(id, columns) {
  sets.set(id, await (await send("PUT", `/v1/sample-sets/${encodeURIComponent(id)}/columns`, { json: { columns } })).json());
  return sets.get(id);
}
export async function deleteSampleSet(id) {
  await send("DELETE", `/v1/sample-sets/${encodeURIComponent(id)}`);
  sets.delete(id);
}

export const estimate = (id, signal) => get(`/v1/estimates/${encodeURIComponent(id)}`, { signal });
/** A page of estimates; `wanted` is {search, status}. */
export const estimates = (after, wanted) => get(`/v1/estimates?${query({ limit: 20, after, ...wanted })}`);
export const renameEstimate = (id, name) => send("PATCH", `/v1/estimates/${encodeURIComponent(id)}`, { json: { name } });
/** A random id. crypto.randomUUID is missing on pages served without TLS. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
export const createEstimate = (body, idempotencyKey) => post("/v1/estimates", body, { headers: { "Idempotency-Key": idempotencyKey } });
export const finishEstimate = (id) => post(`/v1/estimates/${encodeURIComponent(id)}/finish`);
export const cancelEstimate = (id) => post(`/v1/estimates/${encodeURIComponent(id)}/cancel`);
export const deleteEstimate = (id) => send("DELETE", `/v1/estimates/${encodeURIComponent(id)}`);
export const curve = (id) => get(`/v1/estimates/${encodeURIComponent(id)}/curve`);
/** The unusual rows, the histogram of scores and the columns of a finished estimate. */
export const witness = (id) => get(`/v1/estimates/${encodeURIComponent(id)}/witness`);

/** Bytes first..last (inclusive) of a stored sample set. */
export async function contentRange(id, first, last, signal) {
  const response = await send("GET", `/v1/sample-sets/${encodeURIComponent(id)}/content`, { headers: { Range: `bytes=${first}-${last}` }, signal });
  const buffer = await response.arrayBuffer();
  return response.status === 206 ? buffer : buffer.slice(first, last + 1);
}

export async function download(path) {
  return (await send("GET", path)).blob();
}

/** Sends a file in one request and reports progress. Resolves to its sample sets: one for each level of the column `by`. */
export async function upload(file, { by, onProgress, signal, ...parameters }) {
  const place = address(`/v1/sample-sets${by ? "/by" : ""}?${query({ by, ...parameters })}`);
  const response = await patiently(() => sendFile(place, file, onProgress, signal), signal);
  const text = await response.text();
  if (response.status >= 400) throw failure(response.status, text);
  const answer = JSON.parse(text);
  const made = by ? answer.data : [answer];
  for (const set of made) sets.set(set.id, set);
  return made;
}

/** The Response to a file; fetch could not report the progress. */
function sendFile(place, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", place);
    for (const [header, value] of Object.entries(authorized({ "Content-Type": "application/octet-stream" }))) request.setRequestHeader(header, value);
    request.upload.addEventListener("progress", (event) => onProgress?.(event.loaded / (event.total || 1)));
    request.addEventListener("load", () => {
      const { status, responseText } = request;
      resolve(new Response(responseText, { status, headers: { "Retry-After": request.getResponseHeader("Retry-After") ?? "" } }));
    });
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

const evaluationsOf = (id) => `/v1/estimates/${encodeURIComponent(id)}/evaluations`;
/** Evaluations of stored sets, which are jobs: the newest ones. */
export const evaluations = (id, signal) => get(evaluationsOf(id), { signal });
export const deleteEvaluation = (id, evaluation) => send("DELETE", `${evaluationsOf(id)}/${encodeURIComponent(evaluation)}`);
export const evaluationContent = (id, evaluation) => download(`${evaluationsOf(id)}/${encodeURIComponent(evaluation)}/content`);

export const createBatch = (body) => post("/v1/batches", body, { headers: { "Idempotency-Key": newKey() } });
export const batch = (id, signal) => get(`/v1/batches/${encodeURIComponent(id)}`, { signal });
export const comparison = (id, signal) => get(`/v1/batches/${encodeURIComponent(id)}/comparison`, { signal });
export const matrix = (id, signal) => get(`/v1/batches/${encodeURIComponent(id)}/matrix`, { signal });
export const batches = (after, wanted) => get(`/v1/batches?${query({ limit: 20, after, ...wanted })}`);
export const renameBatch = (id, name) => send("PATCH", `/v1/batches/${encodeURIComponent(id)}`, { json: { name } });
export const cancelBatch = (id) => post(`/v1/batches/${encodeURIComponent(id)}/cancel`);

const place = (list, id, rest = "") => `/v1/${list}/${encodeURIComponent(id)}${rest}`;
export const monitors = (after) => get(`/v1/monitors?${query({ limit: 50, after })}`);
export const monitor = (id, signal) => get(place("monitors", id), { signal });
export const createMonitor = (body) => post("/v1/monitors", body, { headers: { "Idempotency-Key": newKey() } });
export const changeMonitor = async (id, changes) => (await send("PATCH", place("monitors", id), { json: changes })).json();
export const deleteMonitor = (id) => send("DELETE", place("monitors", id));
export const beginEpoch = (id, reference) => post(place("monitors", id, "/epochs"), { reference });
export const exported = (id, format) => download(place("monitors", id, `/export?format=${format}`));
export const updates = (id, after, limit) => get(`${place("monitors", id, "/updates")}?${query({ limit, after })}`);
export const createUpdate = (id, body) => post(place("monitors", id, "/updates"), body, { headers: { "Idempotency-Key": newKey() } });
export const cancelUpdate = (id, update) => post(place("monitors", id, `/updates/${update}/cancel`));

export const webhooks = (after) => get(`/v1/webhooks?${query({ limit: 50, after })}`);
export const webhook = (id, signal) => get(place("webhooks", id), { signal });
export const createWebhook = (body) => post("/v1/webhooks", body);
export const changeWebhook = (id, changes) => send("PATCH", place("webhooks", id), { json: changes });
export const deleteWebhook = (id) => send("DELETE", place("webhooks", id));
export const rotateSecret = (id) => post(place("webhooks", id, "/rotate"));
export const testWebhook = (id) => post(place("webhooks", id, "/test"));
export const deliveries = (id, after) => get(`${place("webhooks", id, "/deliveries")}?${query({ limit: 20, after })}`);
export const retryDelivery = (id, delivery) => post(place("webhooks", id, `/deliveries/${delivery}/retry`));
