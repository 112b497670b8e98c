// Converts a safe subset of Markdown to elements: headings, lists, tables, quotes, code, bold, italics, links to http(s).
// Everything else, also HTML, stays plain text.

import { el } from "./dom.js";

const INLINE = /(`+)([^`]+?)\1|\*\*(?=\S)(.+?)(?<=\S)\*\*|(?<![\w*])\*(?=[^\s*])([^*]+?)(?<=[^\s*])\*(?![\w*])|(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)|\[([^\[\]]+)\]\((https?:\/\/[^\s()<>]+)\)/g;
const BULLET = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const TABLE_LINE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const MAX_DEPTH = 6;
const LONG_LINE = 4000; // a longer line is not parsed, because that could take very long

export function inline(text, depth = 0) {
  if (text.length > LONG_LINE) return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push(span(match, depth));
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

function span([whole, , code, bold, starred, underlined, label, target], depth) {
  if (code !== undefined) return el("code", {}, code);
  if (depth >= MAX_DEPTH) return whole;
  if (bold !== undefined) return el("strong", {}, inline(bold, depth + 1));
  if (label !== undefined) return el("a", { href: target, rel: "noopener noreferrer", target: "_blank" }, label);
  return el("em", {}, inline(starred ?? underlined, depth + 1));
}

export function markdown(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  return el("div", { class: "prose" }, blocks(lines, 0));
}

export function looksLikeMarkdown(text) {
  return /(^|\n)(#{1,6}\s|\s*[-*+]\s|\s*\d+[.)]\s|>\s|```)|\*\*\S|`[^`]+`|\]\(https?:/.test(text);
}

function blocks(lines, depth) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const [node, next] = block(lines, at, depth);
    if (node) nodes.push(node);
    at = next;
  }
  return nodes;
}

function block(lines, at, depth) {
  const line = lines[at];
  if (!line.trim()) return [null, at + 1];
  if (/^\s*```/.test(line)) return fence(lines, at);
  const heading = HEADING.exec(line);
  if (heading) return [el(`h${Math.min(heading[1].length + 2, 6)}`, {}, inline(heading[2])), at + 1];
  if (RULE.test(line)) return [el("hr"), at + 1];
  if (line.startsWith(">") && depth < MAX_DEPTH) return quote(lines, at, depth);
  if (BULLET.test(line)) return list(lines, at, depth);
  if (line.includes("|") && at + 1 < lines.length && TABLE_LINE.test(lines[at + 1])) return table(lines, at);
  return paragraph(lines, at);
}

function fence(lines, at) {
  let end = at + 1;
  while (end < lines.length && !/^\s*```\s*$/.test(lines[end])) end += 1;
  return [el("pre", { class: "code" }, lines.slice(at + 1, end).join("\n")), end + 1];
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && lines[end].startsWith(">")) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(/^>\s?/, ""));
  return [el("blockquote", {}, blocks(inner, depth + 1)), end];
}

// A list ends before the first line that is neither an item, nor indented below an item, nor a blank line before another
// item.
function list(lines, at, depth) {
  const [, indent, number] = BULLET.exec(lines[at]);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = BULLET.exec(lines[end]);
    if (item && item[1].length <= indent.length) {
      if (item[1].length < indent.length || (item[2] === undefined) !== (number === undefined)) break;
      items.push({ text: item[3], nested: [] });
    } else if (item || /^\s+\S/.test(lines[end])) {
      items.at(-1).nested.push(lines[end]);
    } else if (lines[end].trim() || !BULLET.test(lines[end + 1] ?? "")) {
      break;
    }
    end += 1;
  }
  const elements = items.map(({ text, nested }) =>
    el("li", {}, inline(text), depth < MAX_DEPTH ? blocks(outdented(nested), depth + 1) : nested.join("\n")));
  return [el(number === undefined ? "ul" : "ol", number > 1 ? { start: number } : {}, elements), end];
}

function outdented(lines) {
  const least = Math.min(...lines.map((line) => line.search(/\S/)).filter((column) => column >= 0), 80);
  return lines.map((line) => line.slice(least));
}

function table(lines, at) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const head = el("tr", {}, cells(lines[at]).map((cell) => el("th", { scope: "col" }, inline(cell))));
  const body = lines.slice(at + 2, end).map((line) => el("tr", {}, cells(line).map((cell) => el("td", {}, inline(cell)))));
  return [el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, body))), end];
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !HEADING.test(lines[end]) && !BULLET.test(lines[end]) && !/^(>|\s*```)/.test(lines[end])) end += 1;
  const parts = lines.slice(at, end).flatMap((line, index) => (index ? [el("br"), ...inline(line)] : inline(line)));
  return [el("p", {}, parts), end];
}
