// The conversation: whole messages from the values, and the words of those that are still being said.

import { el } from "./dom.js";
import { json, prose } from "./values.js";

const WHO = { human: "You", user: "You", ai: "Assistant", AIMessageChunk: "Assistant", assistant: "Assistant", tool: "Tool", system: "System" };

export class Messages {
  constructor(list) {
    this.list = list;
    this.whole = [];
    this.streaming = new Map();
    this.nodes = new Map();
  }

  get any() {
    return this.whole.length > 0 || this.streaming.size > 0;
  }

  // Words that no finished step has kept are said again by the next attempt.
  restart() {
    this.streaming.clear();
  }

  take(name, data) {
    const mode = name.split("|")[0];
    if (mode === "messages" && Array.isArray(data)) this.add(data[0]);
    else if ((mode === "messages/partial" || mode === "messages/complete") && Array.isArray(data)) {
      for (const message of data) this.streaming.set(message.id, message);
    }
  }

  add(chunk) {
    const before = this.streaming.get(chunk.id);
    const partial = /Chunk$/.test(chunk.type ?? "");
    this.streaming.set(chunk.id, before && partial ? { ...before, content: textOf(before) + textOf(chunk) } : chunk);
  }

  settle(messages) {
    if (!Array.isArray(messages)) return;
    this.whole = messages.filter((message) => message && typeof message === "object");
    for (const message of this.whole) this.streaming.delete(message.id);
  }

  render() {
    const all = [...this.whole.map((message) => [message, false]), ...[...this.streaming.values()].map((message) => [message, true])];
    const nodes = all.map(([message, live], index) => this.node(message, live, index));
    const same = nodes.length === this.list.children.length && nodes.every((node, index) => node === this.list.children[index]);
    if (!same) this.list.replaceChildren(...nodes);
  }

  // An unchanged message keeps its element, so that a selection in it stays.
  node(message, live, index) {
    const key = message.id ?? `nth-${index}`;
    const now = JSON.stringify([message.content, message.tool_calls?.length, live]);
    const kept = this.nodes.get(key);
    if (kept?.text === now) return kept.node;
    const node = bubble(message, live);
    this.nodes.set(key, { text: now, node });
    return node;
  }
}

export function textOf({ content }) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (typeof part === "string" ? part : part?.text ?? "")).join("");
}

function bubble(message, live) {
  const kind = message.type ?? message.role ?? "";
  const calls = (message.tool_calls ?? []).map((call) => el("details", {}, el("summary", {}, `calls ${call.name}`), json(call.args)));
  return el("li", { class: `message ${WHO[kind] === "You" ? "mine" : "theirs"}${live ? " live" : ""}` },
    el("p", { class: "who" }, message.name ? String(message.name) : WHO[kind] ?? String(kind)), prose(textOf(message)), calls);
}
