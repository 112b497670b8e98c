// What an edit changes: compares two JSON values part by part.

import { el } from "./dom.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// [{path, before, after}] of all parts that differ. A part that is missing on one side is undefined there.
export function changes(before, after, path = "") {
  if (isObject(before) && isObject(after)) return eachPart([...new Set([...Object.keys(before), ...Object.keys(after)])], (name) => (path ? `${path}.${name}` : name));
  if (Array.isArray(before) && Array.isArray(after)) return eachPart([...Array(Math.max(before.length, after.length)).keys()], (index) => `${path}[${index}]`);
  return isSame(before, after) ? [] : [{ path, before, after }];

  function eachPart(names, pathOf) {
    return names.flatMap((name) => changes(part(before, name), part(after, name), pathOf(name)));
  }
}

// Members such as `constructor` that an object only inherits are missing.
const part = (container, name) => (Object.hasOwn(container, name) ? container[name] : undefined);

const shown = (value) => (value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value));

// A table of the changes. Says in words that there are none.
export function changesTable(before, after) {
  const found = changes(before, after);
  if (!found.length) return el("p", { class: "dim" }, "Nothing is changed.");
  const head = el("tr", {}, ["Changed", "Asked", "Now"].map((title) => el("th", { scope: "col" }, title)));
  const rows = found.map((change) => el("tr", {},
    el("th", { scope: "row" }, change.path || "everything"),
    el("td", {}, el("del", {}, shown(change.before))),
    el("td", {}, el("ins", {}, shown(change.after)))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Changes" },
    el("table", { class: "changes" }, el("thead", {}, head), el("tbody", {}, rows)));
}
