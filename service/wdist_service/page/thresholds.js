// The thresholds of a monitor: of the distance, and of single columns.

import { alertBox, announce, h, option, small, uniqueId } from "./dom.js";
import { mark, numberField, Refused } from "./fields.js";
import { figure } from "./format.js";

/** A form in a disclosure. `columns`: names to choose from; save(thresholds) stores them. */
export function thresholdsForm({ thresholds, tolerance }, columns, save) {
  const fields = new Map();
  const list = h("div", { class: "option-grid" });
  const message = h("div");
  const select = h("select", { "aria-label": "Add a threshold for a column", onchange: () => {
    add(select.value, null).control.focus();
    select.value = "";
  } });
  const offer = () => select.replaceChildren(h("option", { value: "" }, "add a column …"), ...columns.filter((name) => !fields.has(name)).map((name) => h("option", { value: name }, name)));
  function add(column, initial) {
    const label = column === null ? "Distance" : column;
    const field = numberField({ name: label, initial, isNullable: true, label }, { type: "number", minimum: 0 });
    field.control.id = uniqueId("threshold");
    field.control.removeAttribute("aria-label");
    if (column === null) field.control.placeholder = `${figure(tolerance, 3)}, the tolerance`;
    fields.set(column, field);
    list.append(option(h("label", { for: field.control.id }, column === null ? label : `Column ${column}`), field.control));
    offer();
    return field;
  }
  add(null, thresholds.distance);
  for (const [column, bound] of Object.entries(thresholds.columns)) add(column, bound);
  async function submit(event) {
    event.preventDefault();
    message.replaceChildren();
    try {
      const given = [...fields].map(([column, field]) => [column, field.read()]);
      await save({ distance: given[0][1], columns: Object.fromEntries(given.slice(1).filter(([, bound]) => bound !== null)) });
      announce("The thresholds are changed.");
    } catch (error) {
      if (error instanceof Refused) {
        mark(error.control, error.message);
        error.control.focus();
      } else message.replaceChildren(alertBox(error));
    }
  }
  return h("details", null, h("summary", null, "Thresholds"), h("form", { class: "stack", novalidate: true, onsubmit: submit },
    small("An alarm is raised when a lower end of the series is above its threshold. They may be changed at any time; leave one empty to remove it."),
    list, columns.length > 0 && h("p", null, select), message, h("p", null, h("button", { type: "submit" }, "Save the thresholds"))));
}
