// Figures of an earlier version that the server has withdrawn: how they are marked, and the button that runs them again.

import * as api from "./api.js";
import { alertBox, h } from "./dom.js";

export const RUN_AGAIN = "withdrawn: run again";

/** Whether the server has withdrawn a figure of this result. */
export const isWithdrawn = (result, figure) => result?.withdrawn?.figures.includes(figure) ?? false;

/** A figure as text, struck through if it is withdrawn. */
export const struck = (text, withdrawn) => (withdrawn ? h("s", { class: "struck" }, text) : text);

export const withdrawnBadge = () => h("span", { class: "badge withdrawn" }, "withdrawn");

/** A button that submits an estimate; submit() resolves to its address. */
export function againButton(words, submit, kind = "primary") {
  const trouble = h("div");
  const button = h("button", { class: kind, onclick: async () => {
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    try {
      location.hash = await submit();
    } catch (error) {
      trouble.replaceChildren(alertBox(error));
      button.removeAttribute("aria-disabled");
    }
  } }, words);
  return [button, trouble];
}

/** Why figures are withdrawn, with a button that submits the same again. */
export function withdrawnNotice({ reason, action }, submit) {
  const next = submit ? againButton("Run again", submit) : h("p", { class: "soft" }, "A sample set was deleted: send it again first.");
  return h("section", { class: "alert withdrawn-notice", role: "note", "aria-label": "Withdrawn" }, h("p", null, h("strong", null, "Withdrawn."), ` ${reason} ${action}`), next);
}

const given = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null));

/** Submits an estimate again, with other values of the options in `change`: its address. */
export async function runAgain({ source, target, options, priority, metadata }, change = {}) {
  const { id } = await api.createEstimate({ source, target, ...given({ ...options, ...change }), priority, metadata }, api.newKey());
  return `#/estimates/${id}`;
}

/** Submits a matrix or a reference batch again: its address. */
export async function runBatchAgain({ kind, sets, options, priority, metadata }) {
  const pairs = kind === "reference" ? { reference: sets[0], targets: sets.slice(1) } : { matrix: sets };
  const { id } = await api.createBatch({ ...pairs, ...given(options), priority, metadata });
  return `#/batches/${id}`;
}
