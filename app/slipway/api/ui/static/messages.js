// The conversation: complete messages from the state, and the received parts of messages that are still streamed.

import { el } from "./dom.js";
import { json, prose } from "./values.js";

const SENDERS = { human: "You", user: "You", ai: "Assistant", AIMessageChunk: "Assistant", assistant: "Assistant", tool: "Tool", system: "System" };

export class Messages {
  constructor(list) {
    this.list = list;
    this.complete = [];
    this.streaming = new Map();
    this.nodes = new Map();
  }

  get any() {
    return this.complete.length > 0 || this.streaming.size > 0;
  }

  // The next attempt sends the messages of unfinished steps again.
  discardPartial() {
    this.streaming.clear();
  }

  onEvent(name, data) {
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

  setComplete(messages) {
    if (!Array.isArray(messages)) return;
    this.complete = messages.filter((message) => message && typeof message === "object");
    for (const message of this.complete) this.streaming.delete(message.id);
  }

  render() {
    const all = [...this.complete.map((message) => [message, false]), ...[...this.streaming.values()].map((message) => [message, true])];
    const nodes = all.map(([message, partial], index) => this.node(message, partial, index));
    const unchanged = nodes.length === this.list.children.length && nodes.every((node, index) => node === this.list.children[index]);
    if (!unchanged) this.list.replaceChildren(...nodes);
  }

  // An unchanged message keeps its element, so that selected text stays selected.
  node(message, partial, index) {
    const key = message.id ?? `index-${index}`;
    const content = JSON.stringify([message.content, message.tool_calls?.length, partial]);
    const cached = this.nodes.get(key);
    if (cached?.content === content) return cached.node;
    const node = messageElement(message, partial);
    this.nodes.set(key, { content, node });
    return node;
  }
}

export function textOf({ content }) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (typeof part === "string" ? part : part?.text ?? "")).join("");
}

function messageElement(message, partial) {
  const kind = message.type ?? message.role ?? "";
  const calls = (message.tool_calls ?? []).map((call) => el("details", {}, el("summary", {}, `calls ${call.name}`), json(call.args)));
  return el("li", { class: `message ${SENDERS[kind] === "You" ? "from-user" : "from-others"}${partial ? " partial" : ""}` },
    el("p", { class: "sender" }, message.name ? String(message.name) : SENDERS[kind] ?? String(kind)), prose(textOf(message)), calls);
}
