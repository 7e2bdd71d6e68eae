// Code that repeats the current estimate: Python, the command line, curl.

import { copy, announce, h, uniqueId } from "./dom.js";
import { hasKey, server } from "./api.js";

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const python = (value) => (value === null ? "None" : value === true ? "True" : value === false ? "False" : JSON.stringify(value));

/** source, target: sample sets; options: those that differ from the defaults. */
export function estimateSnippets(source, target, options) {
  return tabs([["Python", pythonEstimate(source, target, options)], ["Command line", commandEstimate(source, target, options)], ["curl", curlEstimate(source, target, options)]]);
}

/** How the file was read, as parameters of an address. */
const parameters = (set) => new URLSearchParams(Object.entries({ filename: fileOf(set), ...set.reading }).flatMap(([name, value]) => [value].flat().map((each) => [name, each])));

/** How the file was read, as keyword arguments. */
const keywords = (set) => Object.entries(set.reading ?? {}).map(([name, value]) => `, ${name}=${python(value)}`).join("");

/** How the files were read, as flags. */
const flags = (set) => Object.entries(set.reading ?? {}).flatMap(([name, value]) => [value].flat().map((each) => (each === true ? ` --${flag(name)}` : each === false ? ` --no-${flag(name)}` : ` --${flag(name)} ${shell(String(each))}`))).join("");

const flag = (name) => name.replaceAll("_", "-");

const fileOf = (set) => set.name ?? `${set.id}.npy`;

function pythonEstimate(source, target, options) {
  const given = Object.entries(options).map(([name, value]) => `, ${name}=${python(value)}`).join("");
  return `from wdist_client import Client

with Client(${python(server)}) as client:${hasKey() ? "  # the key comes from WDIST_API_KEY" : ""}
    source = client.sample_sets.create(${python(fileOf(source))}${keywords(source)})
    target = client.sample_sets.create(${python(fileOf(target))}${keywords(target)})
    job = client.estimates.create(source, target${given})
    result = job.wait(progress=True)
    print(result.lower_bound, result.meaning)`;
}

/** The `wdist remote` command, without the options it does not support (lists, labels). */
function commandEstimate(source, target, options) {
  const given = Object.entries(options).filter(([, value]) => ["string", "number"].includes(typeof value)).map(([name, value]) => ` --${flag(name)} ${value}`).join("");
  return `wdist remote --url ${server} estimate ${shell(fileOf(source))} ${shell(fileOf(target))}${flags(source)}${given}${hasKey() ? "  # the key comes from WDIST_API_KEY" : ""}`;
}

function curlEstimate(source, target, options) {
  const key = hasKey() ? ' -H "Authorization: Bearer $WDIST_API_KEY"' : "";
  const upload = (name, set) => `${name}=$(curl -s${key} -H 'Content-Type: application/octet-stream' --data-binary @${shell(fileOf(set))} "${server}/v1/sample-sets?${parameters(set)}" | jq -r .id)`;
  const body = JSON.stringify({ source: "SOURCE", target: "TARGET", ...options }).replaceAll('"', '\\"').replace("SOURCE", "$SOURCE").replace("TARGET", "$TARGET");
  return `${upload("SOURCE", source)}
${upload("TARGET", target)}
curl -s${key} -H 'Content-Type: application/json' -H 'Prefer: wait=60' -d "${body}" ${server}/v1/estimates`;
}

/** Tabs of code to copy, by the WAI-ARIA tabs pattern: arrow keys switch tabs. */
export function tabs(entries) {
  const panel = h("pre", { class: "code", role: "tabpanel", id: uniqueId("panel"), tabindex: "0" });
  const buttons = entries.map(([name], i) => h("button", { type: "button", role: "tab", id: uniqueId("tab"), "aria-controls": panel.id, onclick: () => choose(i) }, name));
  const list = h("div", { role: "tablist", "aria-label": "Language", class: "tabs", onkeydown: (event) => {
    const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!turn) return;
    const next = (buttons.indexOf(document.activeElement) + turn + buttons.length) % buttons.length;
    choose(next);
    buttons[next].focus();
  } }, buttons);
  const done = h("button", { type: "button", class: "quiet", onclick: async () => {
    await copy(panel.textContent);
    done.textContent = "Copied";
    announce("Copied.");
    setTimeout(() => (done.textContent = "Copy"), 1500);
  } }, "Copy");
  function choose(chosen) {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === chosen));
      button.tabIndex = i === chosen ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[chosen].id);
    panel.textContent = entries[chosen][1];
  }
  choose(0);
  return h("div", { class: "stack" }, h("div", { class: "spread" }, list, done), panel);
}
