// Renders any JSON value for people.

import { el, readableName } from "./dom.js";
import { looksLikeMarkdown, markdown } from "./markdown.js";

const PROSE = /^(answer|explanation|summary|result|output|report|text|response|message)$/;
const MAX_ROWS = 200;
const MAX_COLUMNS = 6;
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

export function rendered(value, depth = 0) {
  if (typeof value === "string") return prose(value);
  if (isScalar(value)) return el("p", { class: "plain" }, scalar(value));
  if (isEmpty(value)) return el("p", { class: "dim" }, "none");
  if (depth > 3) return json(value);
  return Array.isArray(value) ? list(value, depth) : facts(value, depth);
}

export function facts(value, depth = 0) {
  const rows = Object.entries(value).map(([name, inner]) => [
    el("dt", {}, readableName(name)),
    el("dd", {}, isScalar(inner) && !isLong(inner) ? scalar(inner) : rendered(inner, depth + 1)),
  ]);
  return el("dl", { class: "facts" }, rows);
}

const isLong = (value) => typeof value === "string" && (value.length > 160 || value.includes("\n"));

function list(items, depth) {
  const visible = items.slice(0, MAX_ROWS);
  const more = items.length > visible.length ? el("p", { class: "dim" }, `… and ${items.length - visible.length} more`) : null;
  if (visible.every(isScalar)) return el("div", {}, el("ul", {}, visible.map((item) => el("li", {}, scalar(item)))), more);
  const columns = columnsOf(visible);
  if (columns) return el("div", {}, table(visible, columns), more);
  return el("div", {}, el("ol", { class: "items" }, visible.map((item) => el("li", {}, rendered(item, depth + 1)))), more);
}

function columnsOf(items) {
  if (!items.every(isObject)) return null;
  const names = [...new Set(items.flatMap((item) => Object.keys(item)))];
  const flat = items.every((item) => Object.values(item).every(isScalar));
  return flat && names.length <= MAX_COLUMNS ? names : null;
}

function table(items, columns) {
  const head = el("tr", {}, columns.map((name) => el("th", { scope: "col" }, readableName(name))));
  const rows = items.map((item) => el("tr", {}, columns.map((name) => el("td", {}, name in item ? scalar(item[name]) : ""))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    el("table", {}, el("thead", {}, head), el("tbody", {}, rows)));
}

// The state of a run: first texts, then short values, then all other values in sections that can be opened.
export function renderState(values, outputs) {
  if (!isObject(values)) return rendered(values);
  const named = outputs.filter((name) => name in values);
  const names = (named.length ? named : Object.keys(values)).filter((name) => !/^(messages|__\w+__)$/.test(name));
  const parts = [];
  const short = {};
  const sections = [];
  for (const name of names) {
    const value = values[name];
    if (typeof value === "string" && PROSE.test(name) && value) parts.push(rendered(value));
    else if (isScalar(value) && !isLong(value)) value === "" || (short[name] = value);
    else if (!isEmpty(value)) sections.push([name, value]);
  }
  if (Object.keys(short).length) parts.push(facts(short));
  parts.push(...sections.map(([name, value]) => section(name, value)));
  if (named.length && Object.keys(values).length > named.length) parts.push(section("complete state", values, true));
  return el("div", {}, parts);
}

const openSections = new Map(); // a section that the user opened or closed stays so when newer values arrive

function section(name, value, raw = false) {
  const size = Array.isArray(value) ? ` (${value.length})` : "";
  const isSmall = !raw && (Array.isArray(value) ? value.length <= 3 : true);
  const details = el("details", { open: openSections.get(name) ?? isSmall }, el("summary", {}, `${readableName(name)}${size}`));
  details.firstElementChild.addEventListener("click", () => openSections.set(name, !details.open));
  const fill = () => { if (details.open && details.childElementCount === 1) details.append(raw ? json(value) : rendered(value, 1)); };
  details.addEventListener("toggle", fill);
  fill();
  return details;
}
