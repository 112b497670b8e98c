// The steps of a run, one line each, in the order in which they started.

import { el, setText, words } from "./dom.js";
import { scalar } from "./values.js";
import { madeAt } from "./live.js";

const MOST_LINES = 400;
const ENDS = { success: "Completed", error: "Failed", timeout: "Failed: its time limit was reached", interrupted: "Cancelled" };
const SAID = ["message", "text", "status", "stage", "step", "title"];

export class Progress {
  constructor(list) {
    this.list = list;
    this.open = new Map();
    this.hasTasks = false;
    this.lastProblem = "";
    this.atEnd = true;
    list.addEventListener("scroll", () => { this.atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40; });
  }

  take({ name, data, id }) {
    const [mode, ...inside] = name.split("|");
    const where = inside.map((part) => part.split(":")[0]).join(" › ");
    if (mode === "metadata") this.attempt(data);
    else if (mode === "tasks") this.task(data, where, id);
    else if (mode === "custom") this.line("custom", this.marked("said", where, said(data)));
    else if (mode === "updates" && !this.hasTasks) this.update(data, where);
    else if (mode === "error") this.error(data);
    else if (mode === "gap" || mode === "expired") this.line("dim", ["Earlier events have expired."]);
    else if (mode === "end") this.end(data);
  }

  attempt({ attempt }) {
    if (!(attempt > 1)) return this.line("milestone", ["Accepted"]);
    for (const node of this.open.values()) this.close(node, "dropped", "interrupted; executed again");
    this.open.clear();
    return this.line("milestone attempt", [el("strong", {}, `Attempt ${attempt}`), " started. Finished steps are kept; unfinished steps are executed again."]);
  }

  task(task, where, id) {
    this.hasTasks = true;
    const key = `${where}/${task.id}`;
    if (!("result" in task) && !("error" in task)) {
      const node = this.line("step open", [el("span", { class: "node" }, name(where, task.name)), el("span", { class: "outcome dim" }, "")]);
      node.dataset.began = String(madeAt(id));
      this.open.set(key, node);
      return;
    }
    const node = this.open.get(key) ?? this.line("step", [el("span", { class: "node" }, name(where, task.name)), el("span", { class: "outcome dim" }, "")]);
    this.open.delete(key);
    if (task.error) this.close(node, "failed", (this.lastProblem = problemOf(task.error)));
    else if (task.interrupts?.length) this.ask(node);
    else this.close(node, "done", took(node.dataset.began, id));
  }

  // A failed step has said it already.
  error(data) {
    const text = problemOf(data ?? {});
    if (text !== this.lastProblem) this.line("bad", [text]);
  }

  // Scrolls to the newest line, unless somebody has scrolled up.
  follow() {
    if (this.atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  update(data, where) {
    for (const [node, update] of Object.entries(data ?? {})) {
      if (node === "__interrupt__") this.ask(this.line("step asked", [el("span", { class: "outcome" }, "")]));
      else this.line("step done", [el("span", { class: "node" }, name(where, node)), el("span", { class: "outcome dim" }, keysOf(update))]);
    }
  }

  end({ status, phase }) {
    for (const node of this.open.values()) this.close(node, "dropped", "stopped");
    this.open.clear();
    this.line("milestone", [phase === "waiting_for_approval" ? "Waiting for an answer" : ENDS[status] ?? `Ended: ${words(status)}`]);
  }

  marked(kind, where, parts) {
    return where ? [el("span", { class: "dim" }, `${where}: `), ...parts] : parts;
  }

  ask(node) {
    this.close(node, "asked", "waits for an answer");
  }

  close(node, kind, outcome) {
    node.className = `step ${kind}`;
    setText(node.querySelector(".outcome"), outcome);
  }

  line(kind, parts) {
    const node = el("li", { class: kind }, parts);
    this.list.append(node);
    if (this.list.childElementCount > MOST_LINES) this.list.firstElementChild.remove();
    return node;
  }
}

const name = (where, node) => (where ? `${where} › ${node}` : node);

function took(began, id) {
  if (!began) return "";
  const ms = madeAt(id) - Number(began);
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function problemOf(error) {
  return typeof error === "string" ? error : `${error.error ?? "Error"}: ${error.message ?? ""}`;
}

const keysOf = (update) => (update && typeof update === "object" ? Object.keys(update).map(words).join(", ") : "");

// A custom event as a sentence: what it says first, then the rest of its members.
function said(data) {
  if (data === null || typeof data !== "object") return [String(scalar(data))];
  if (Array.isArray(data)) return [JSON.stringify(data)];
  const members = Object.entries(data);
  const lead = SAID.map((key) => members.find(([member, value]) => member === key && typeof value === "string")).find(Boolean);
  const rest = members.filter((member) => member !== lead).map(([key, value]) => `${words(key)} ${brief(value)}`);
  const parts = lead ? [el("strong", {}, lead[1])] : [];
  if (lead && rest.length) parts.push(": ");
  return [...parts, rest.join(" · ")];
}

function brief(value) {
  if (Array.isArray(value) && value.every((each) => each === null || typeof each !== "object")) return value.join(", ") || "none";
  const text = value !== null && typeof value === "object" ? JSON.stringify(value) : String(scalar(value) === "none" ? "none" : value);
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}
