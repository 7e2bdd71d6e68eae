// One update of a monitor: what it says, which alarms are on, the columns behind them, and the most unusual rows.

import { warningBox } from "./advice.js";
import * as api from "./api.js";
import { columnList } from "./columns.js";
import { alertBox, figureHead, h, remark, rowHead, spread } from "./dom.js";
import { figure, percent, roundedDown, unbroken } from "./format.js";
import { intervalPicture } from "./interval.js";
import { fetchRows, imageShape } from "./rows.js";
import { nameOf } from "./sets.js";
import { betweenText, timeText, updateName } from "./timeline.js";
import { unusualRows } from "./witness.js";

const SHOWN_ROWS = 12;

/** Elements about `figures`, the figures of the update in `record`. */
export function updateView(monitor, record) {
  const { figures } = record;
  const isSaidAbove = JSON.stringify(figures.alarms) === JSON.stringify(monitor.alarms); // as those that are on
  return [spread(h("h2", null, updateName(figures)), remark(figures.name ?? "")),
    h("p", { class: "lead distance" }, unbroken(figures.meaning)), alarmList("Alarms after this update", isSaidAbove ? [] : figures.alarms),
    intervalPicture({ ...figures, lower_bound: figures.series_lower_bound, upper_bound: figures.series_upper_bound }), warningBox(figures.warnings.map(inWords)), columnsOf(monitor, figures), rowsOf(monitor, record),
    h("details", null, h("summary", null, "All figures of this update"), numbers(monitor, figures))].filter(Boolean);
}

const ALARM_WORDS = {
  distance: ({ bound, threshold }) => `The distance is at least ${roundedDown(bound)}, above ${figure(threshold)}`,
  column: ({ column, bound, threshold }) => `The distance of the column ${column} is at least ${roundedDown(bound)}, above ${figure(threshold)}`,
  evidence: () => "The evidence of the series has reached its limit (below, “Make it the new reference” begins anew)",
};

/** The alarms and since when each is on, as a box with this label; null if there are none. */
export function alarmList(label, alarms) {
  if (alarms.length === 0) return null;
  const since = ({ since: number, since_at: at = null }) => `since update ${number}${at === null ? "" : `, ${timeText(at)}`}`;
  return h("div", { class: "alert alarms", role: "note", "aria-label": label }, alarms.map((alarm) => h("p", null, h("strong", null, `${ALARM_WORDS[alarm.kind](alarm)}, `), since(alarm), ".")));
}

function numbers({ confidence }, figures) {
  const { lower_bound: lower, upper_bound: upper, p_value: p, value, evidence, evidence_limit: limit, change } = figures;
  const line = (name, shown, note) => h("tr", null, rowHead(name), h("td", { class: "number" }, shown), h("td", { class: "soft" }, note));
  return h("div", { class: "table-box" }, h("table", { class: "figures" }, figureHead(), h("tbody", null,
    line("all updates", betweenText(figures), "the distance, together with every other update of this monitor"),
    line("this batch", betweenText({ series_lower_bound: lower, series_upper_bound: upper }), `the distance, of this batch alone: ${percent(confidence)} confidence${upper === null ? "" : " each"}`),
    line("value", figure(value), "what the critic shows on held-out rows"),
    p !== null && line("p_value", String(+p.toPrecision(2)), "how often a batch like the reference would look this different"),
    line("evidence", evidence < limit ? percent(+(evidence / limit).toFixed(3)) : "reached", `${evidence < limit ? "of " : ""}what an alarm takes, gathered over all updates of this epoch${evidence < limit ? "; a sudden change shows in the bounds first" : ""}`),
    change && line("change", figure(change.value, 3), `since the batch before, as the critic sees it; their distance is at least ${roundedDown(change.lower_bound)}`))));
}

/** The columns, those that differ most first; a bound above its threshold is bold. */
function columnsOf({ thresholds }, { columns }) {
  if (columns.length === 0) return null;
  const mark = ({ name, lower_bound: bound }) => {
    const threshold = thresholds.columns[name];
    if (threshold === undefined) return null;
    return bound > threshold ? [" · ", h("strong", { class: "over" }, `above its threshold of ${figure(threshold, 3)}`)] : ` · threshold ${figure(threshold, 3)}`;
  };
  return h("section", { class: "stack", "aria-label": "Columns of this update" }, h("h3", null, "Which columns make the difference"), columnList(columns, { mark }));
}

/** A button that shows the rows that are least like the reference. */
function rowsOf(monitor, { batch, figures }) {
  if (figures.unusual.length === 0) return null;
  const box = h("div", { class: "stack" });
  const show = async () => {
    try {
      const [source, target] = await Promise.all([monitor.reference_set, batch].map(api.sampleSet));
      const chosen = figures.unusual.slice(0, SHOWN_ROWS);
      const values = await fetchRows(target, chosen.map(({ row }) => row));
      const entries = chosen.map(({ row, score }, i) => ({ index: row, score, values: values?.[i] }));
      box.replaceChildren(h("h3", null, `Rows of ${nameOf(target)} least like the reference`),
        values ? unusualRows(entries, "target", { source, target }, imageShape(target.shape, monitor.options.layout), figures.columns.map(({ name }) => name)) : h("p", null, `Rows ${entries.map(({ index }) => index).join(", ")}.`));
    } catch (error) {
      const isGone = error.status === 404;
      box.replaceChildren(isGone ? h("p", { class: "note" }, "The rows of this batch were deleted; its figures stay.") : alertBox(error, show));
    }
  };
  box.append(h("button", { onclick: show }, "Show its most unusual rows"));
  return box;
}

/** A warning with what is done about it on this page. */
const inWords = (text) => text.replace(/ with drop=\[.*\]; batches are read.*/, " of new rows: begin a new epoch").replace("begin a new epoch", "give new rows below and choose “Make it the new reference”");
