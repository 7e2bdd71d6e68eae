// The server's contract (/openapi.json): what can be asked of an estimate, and which figures of its result are shown.

import { whole } from "./format.js";
import * as api from "./api.js";

let fetched = null;

/** The contract, fetched once while the page is open. */
export function fetchContract() {
  fetched ??= api.contract().catch((error) => {
    fetched = null; // the next view tries again
    throw error;
  });
  return fetched;
}

/** The alternatives that a schema allows, without references. */
function alternatives(contract, schema) {
  const parts = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (schema.$ref) return alternatives(contract, contract.components.schemas[schema.$ref.split("/").pop()]);
  return parts ? parts.flatMap((part) => alternatives(contract, part)) : [schema];
}

/** The options that a request takes, by name: {name, kinds (schemas), isNullable, initial (default), label, words, help}. */
export const optionsOf = (contract, request) => described(contract, Object.entries(contract.components.schemas[request].properties));

/** The parameters that a POST takes in its address, by name, as options. */
export const parametersOf = (contract, path) => described(contract, parameters(contract, path));

/** The endings of the names of files that can be sent there. */
export const endingsOf = (contract, path) => parameters(contract, path).flatMap(([, schema]) => schema["x-endings"] ?? []);

const parameters = (contract, path) => contract.paths[path].post.parameters.filter((each) => each.in === "query").map(({ name, schema }) => [name, schema]);

function described(contract, entries) {
  return new Map(entries.map(([name, schema]) => {
    const all = alternatives(contract, schema);
    const kinds = all.filter(({ type }) => type !== "null");
    const { label = name, choices: words = {} } = schema["x-form"] ?? {};
    return [name, { name, kinds, isNullable: kinds.length < all.length, initial: schema.default ?? null, label, words, help: schema.description ?? "" }];
  }));
}

/** The values of a kind that has only some: an enumeration or a boolean; null for others. */
export function valuesOf(kind) {
  if (kind.type === "boolean") return [true, false];
  return kind.enum ?? (kind.const === undefined ? null : [kind.const]);
}

/** The bounds of a number: {low, high, isAboveLow, isBelowHigh, has(value), words}. */
export function boundsOf(kind) {
  const isWhole = kind.type === "integer";
  const low = kind.exclusiveMinimum ?? kind.minimum ?? -Infinity;
  const high = Math.min(kind.exclusiveMaximum ?? kind.maximum ?? Infinity, isWhole ? Number.MAX_SAFE_INTEGER : Infinity);
  const isOpen = { low: low === kind.exclusiveMinimum, high: high === kind.exclusiveMaximum };
  const words = [isWhole ? "a whole number" : "a number"];
  if (low > -Infinity) words.push(`${isOpen.low ? "above" : "at least"} ${whole(low)}`);
  if (high < 1e15) words.push(`${isOpen.high ? "below" : "at most"} ${whole(high)}`);
  const has = (value) => (isWhole ? Number.isInteger(value) : Number.isFinite(value)) && (isOpen.low ? value > low : value >= low) && (isOpen.high ? value < high : value <= high);
  return { low, high, has, words: words.join(", ") };
}

/** The figures of a result that are printed on a line each, in order: {name, value, digits, decimals, meaning, rank}. */
export function shownFigures(contract, result) {
  const collect = (schema, values) => Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const value = values?.[name] ?? null;
    if (value === null) return [];
    if (property["x-shown"]) return [{ name, ...property["x-shown"], value }];
    return alternatives(contract, property).flatMap((part) => collect(part, value));
  });
  return collect(contract.components.schemas.ResultView, result).sort((one, other) => one.rank - other.rank);
}
