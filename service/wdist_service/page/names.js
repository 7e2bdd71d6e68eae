// Names that are changed where they stand.

import { h, hiddenText, quiet } from "./dom.js";

/** Content with a button that makes it a field for its name. save(name) stores it; null: no name. */
export function renamable(content, name, save) {
  const box = h("span", { class: "renamable" });
  const shown = () => box.replaceChildren(content, " ", button);
  const button = h("button", { class: "link small", onclick: edit }, "Rename", hiddenText(` ${content.textContent}`));
  function edit() {
    const input = h("input", { type: "text", "aria-label": "Name", maxlength: 200, value: name, placeholder: "no name", autocomplete: "off" });
    const back = () => (shown(), button.focus());
    box.replaceChildren(h("form", { class: "remedies", onkeydown: (event) => event.key === "Escape" && back(), onsubmit: (event) => {
      event.preventDefault();
      back();
      save(input.value.trim() || null);
    } }, input, h("button", { type: "submit", class: "quiet" }, "Save"), quiet(back, "Cancel")));
    input.select();
  }
  shown();
  return box;
}
