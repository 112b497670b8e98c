// Any JSON value as something to read.

import { el, words } from "./dom.js";
import { looksLikeMarkdown, markdown } from "./markdown.js";

const PROSE = /^(answer|explanation|summary|result|output|report|text|response|message)$/;
const MOST_ROWS = 200;
const MOST_COLUMNS = 6;
const LONG_TEXT = 100_000;

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isScalar = (value) => value === null || typeof value !== "object";
const isEmpty = (value) => value === null || value === "" || (typeof value === "object" && !Object.keys(value).length);

export function json(value) {
  const text = JSON.stringify(value, null, 2) ?? "";
  return el("pre", { class: "code" }, text.length > LONG_TEXT ? `${text.slice(0, LONG_TEXT)}\n… (${text.length} characters in all)` : text);
}

export function prose(text) {
  if (text.length > LONG_TEXT) return el("pre", { class: "code" }, text);
  return looksLikeMarkdown(text) ? markdown(text) : el("p", { class: "plain" }, text);
}

export function scalar(value) {
  if (value === null || value === undefined) return el("span", { class: "dim" }, "none");
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}

export function shown(value, depth = 0) {
  if (typeof value === "string") return prose(value);
  if (isScalar(value)) return el("p", { class: "plain" }, scalar(value));
  if (isEmpty(value)) return el("p", { class: "dim" }, "none");
  if (depth > 3) return json(value);
  return Array.isArray(value) ? list(value, depth) : facts(value, depth);
}

export function facts(value, depth = 0) {
  const rows = Object.entries(value).map(([name, inner]) => [
    el("dt", {}, words(name)),
    el("dd", {}, isScalar(inner) && !isLong(inner) ? scalar(inner) : shown(inner, depth + 1)),
  ]);
  return el("dl", { class: "facts" }, rows);
}

const isLong = (value) => typeof value === "string" && (value.length > 160 || value.includes("\n"));

function list(items, depth) {
  const kept = items.slice(0, MOST_ROWS);
  const more = items.length > kept.length ? el("p", { class: "dim" }, `… and ${items.length - kept.length} more`) : null;
  if (kept.every(isScalar)) return el("div", {}, el("ul", {}, kept.map((item) => el("li", {}, scalar(item)))), more);
  const columns = columnsOf(kept);
  if (columns) return el("div", {}, table(kept, columns), more);
  return el("div", {}, el("ol", { class: "things" }, kept.map((item) => el("li", {}, shown(item, depth + 1)))), more);
}

function columnsOf(items) {
  if (!items.every(isObject)) return null;
  const names = [...new Set(items.flatMap((item) => Object.keys(item)))];
  const flat = items.every((item) => Object.values(item).every(isScalar));
  return flat && names.length <= MOST_COLUMNS ? names : null;
}

function table(items, columns) {
  const head = el("tr", {}, columns.map((name) => el("th", { scope: "col" }, words(name))));
  const rows = items.map((item) => el("tr", {}, columns.map((name) => el("td", {}, name in item ? scalar(item[name]) : ""))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    el("table", {}, el("thead", {}, head), el("tbody", {}, rows)));
}

// A run's values: what is meant for reading first, then small facts, then the rest folded away.
export function result(values, outputs) {
  if (!isObject(values)) return shown(values);
  const named = outputs.filter((name) => name in values);
  const names = (named.length ? named : Object.keys(values)).filter((name) => !/^(messages|__\w+__)$/.test(name));
  const parts = [];
  const small = {};
  const folded = [];
  for (const name of names) {
    const value = values[name];
    if (typeof value === "string" && PROSE.test(name) && value) parts.push(shown(value));
    else if (isScalar(value) && !isLong(value)) value === "" || (small[name] = value);
    else if (!isEmpty(value)) folded.push([name, value]);
  }
  if (Object.keys(small).length) parts.push(facts(small));
  parts.push(...folded.map(([name, value]) => fold(name, value)));
  if (named.length && Object.keys(values).length > named.length) parts.push(fold("whole state", values, true));
  return el("div", {}, parts);
}

const unfolded = new Map(); // what somebody opened or closed stays so when newer values arrive

function fold(name, value, raw = false) {
  const size = Array.isArray(value) ? ` (${value.length})` : "";
  const small = !raw && (Array.isArray(value) ? value.length <= 3 : true);
  const details = el("details", { open: unfolded.get(name) ?? small }, el("summary", {}, `${words(name)}${size}`));
  details.firstElementChild.addEventListener("click", () => unfolded.set(name, !details.open));
  const fill = () => { if (details.open && details.childElementCount === 1) details.append(raw ? json(value) : shown(value, 1)); };
  details.addEventListener("toggle", fill);
  fill();
  return details;
}
