// What an estimate was asked, in words.

import { optionsOf } from "./contract.js";
import { figure, percent } from "./format.js";

const SHOWN_ELSEWHERE = new Set(["name", "source", "target", "metadata", "priority"]);
const UNITS = { standardize: "standard deviations", robust: "robust deviations" };

/** The options of a stored estimate, by name: {name, label, text, isDefault}. */
export function askedOf(contract, options) {
  return [...optionsOf(contract, "EstimateRequest").values()].filter(({ name }) => !SHOWN_ELSEWHERE.has(name)).map((option) => {
    const value = options[option.name] ?? option.initial;
    return { name: option.name, label: option.label, text: textOf(option, value), isDefault: JSON.stringify(value) === JSON.stringify(option.initial) };
  });
}

function textOf({ name, words }, value) {
  if (name === "confidence") return percent(value);
  if (name === "scale" && (value === null || typeof value !== "object")) return unitsOf({ scale: value });
  if (value === null) return "not set";
  if (typeof value === "object") return Array.isArray(value) ? value.map((each) => figure(each)).join(", ") : "given";
  return words[value] ?? (typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? String(value) : value);
}

/** The units that were asked for, in a few words. */
export const unitsOf = ({ scale }) => UNITS[scale] ?? (typeof scale === "number" ? `units of ${figure(scale)}` : Array.isArray(scale) ? "a given scale" : "own units");
