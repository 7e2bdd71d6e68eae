// Code that repeats the current estimate: Python, the command line, curl.

import { announce, copy, h, quiet, spread, stack, uniqueId } from "./dom.js";
import { hasKey, server } from "./api.js";
import { nameOf } from "./sets.js";

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const python = (value) => (value === null ? "None" : value === true ? "True" : value === false ? "False" : JSON.stringify(value));

/** source, target: sample sets; options: those that differ from the defaults. */
export function estimateSnippets(source, target, options) {
  return tabs([["Python", pythonEstimate(source, target, options)], ["Command line", commandEstimate(source, target, options)], ["curl", curlEstimate(source, target, options)]]);
}

const flag = (name) => `--${name.replaceAll("_", "-")}`;

/** How the file was read; what tells which level of a table the set is says nothing of other files. */
const reading = (set) => Object.entries(set.reading ?? {}).filter(([name]) => !["by", "level"].includes(name));

const keywords = (entries) => entries.map(([name, value]) => `, ${name}=${python(value)}`).join("");

/** A list of numbers is one value, of names a flag each. */
const flags = (entries) => entries.flatMap(([name, value]) => (typeof value === "object" && typeof value?.[0] !== "string" ? [String(value)] : [value].flat()).map((each) => (each === true ? ` ${flag(name)}` : each === false ? ` ${flag(name).replace("--", "--no-")}` : ` ${flag(name)} ${shell(String(each))}`))).join("");

const about = (source, target, how) => `# ${nameOf(source)} and ${nameOf(target)}, which the server has; for files: ${how}${hasKey() ? "; the key comes from WDIST_API_KEY" : ""}`;

function pythonEstimate(source, target, options) {
  const given = keywords(Object.entries(options));
  return `from wdist_client import Client

${about(source, target, `client.estimate("A", "B"${keywords(reading(source))}${given})`)}
with Client(${python(server)}) as client:
    job = client.estimates.create(${python(source.id)}, ${python(target.id)}${given})
    result = job.wait(progress=True)
    print(result.lower_bound, result.meaning)`;
}

/** The `wdist remote` command, without the labels of groups. */
function commandEstimate(source, target, options) {
  const given = flags(Object.entries(options).filter(([, value]) => typeof value !== "object" || Array.isArray(value)));
  return `${about(source, target, `estimate A B${flags(reading(source))}`)}
wdist remote --url ${server} estimate ${source.id} ${target.id}${given}`;
}

function curlEstimate(source, target, options) {
  const key = hasKey() ? ' -H "Authorization: Bearer $WDIST_API_KEY"' : "";
  const body = shell(JSON.stringify({ source: source.id, target: target.id, ...options }));
  return `curl -s${key} -H 'Content-Type: application/json' -H 'Prefer: wait=60' -d ${body} ${server}/v1/estimates`;
}

/** Tabs of code to copy, by the WAI-ARIA tabs pattern: arrow keys switch tabs. */
export function tabs(entries) {
  const panel = h("pre", { class: "code", role: "tabpanel", id: uniqueId("panel"), tabindex: "0" });
  const buttons = entries.map(([name], i) => h("button", { role: "tab", id: uniqueId("tab"), "aria-controls": panel.id, onclick: () => choose(i) }, name));
  const list = h("div", { role: "tablist", "aria-label": "Language", class: "tabs", onkeydown: (event) => {
    const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!turn) return;
    const next = (buttons.indexOf(document.activeElement) + turn + buttons.length) % buttons.length;
    choose(next);
    buttons[next].focus();
  } }, buttons);
  const done = quiet(async () => {
    await copy(panel.textContent);
    done.textContent = "Copied";
    announce("Copied.");
    setTimeout(() => (done.textContent = "Copy"), 1500);
  }, "Copy");
  function choose(chosen) {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === chosen));
      button.tabIndex = i === chosen ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[chosen].id);
    panel.textContent = entries[chosen][1];
  }
  choose(0);
  return stack(spread(list, done), panel);
}
