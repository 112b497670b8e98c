// The steps of a run, one line each, in the order in which they started.

import { el, setText, readableName } from "./dom.js";
import { scalar } from "./values.js";
import { timeOfEvent } from "./run_events.js";

const MAX_LINES = 400;
const ENDS = { success: "Completed", error: "Failed", timeout: "Failed: its time limit was reached", interrupted: "Cancelled" };
const TEXT_MEMBERS = ["message", "text", "status", "stage", "step", "title"];

export class Progress {
  constructor(list) {
    this.list = list;
    this.running = new Map();
    this.hasTasks = false;
    this.lastProblem = "";
    this.atEnd = true;
    list.addEventListener("scroll", () => { this.atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40; });
  }

  onEvent({ name, data, id }) {
    const [mode, ...namespace] = name.split("|");
    const where = namespace.map((part) => part.split(":")[0]).join(" › ");
    if (mode === "metadata") this.attempt(data);
    else if (mode === "tasks") this.task(data, where, id);
    else if (mode === "custom") this.line("custom", withNamespace(where, customEventText(data)));
    else if (mode === "updates" && !this.hasTasks) this.update(data, where);
    else if (mode === "error") this.error(data);
    else if (mode === "gap" || mode === "expired") this.line("dim", ["Earlier events have expired."]);
    else if (mode === "end") this.end(data);
  }

  attempt({ attempt }) {
    if (!(attempt > 1)) return this.line("milestone", ["Accepted"]);
    for (const node of this.running.values()) this.endStep(node, "stopped", "interrupted; executed again");
    this.running.clear();
    return this.line("milestone attempt", [el("strong", {}, `Attempt ${attempt}`), " started. Finished steps are kept; unfinished steps are executed again."]);
  }

  task(task, where, id) {
    this.hasTasks = true;
    const key = `${where}/${task.id}`;
    if (!("result" in task) && !("error" in task)) {
      const node = this.line("step running", [el("span", { class: "node" }, name(where, task.name)), el("span", { class: "outcome dim" }, "")]);
      node.dataset.startedAt = String(timeOfEvent(id));
      this.running.set(key, node);
      return;
    }
    const node = this.running.get(key) ?? this.line("step", [el("span", { class: "node" }, name(where, task.name)), el("span", { class: "outcome dim" }, "")]);
    this.running.delete(key);
    if (task.error) this.endStep(node, "failed", (this.lastProblem = problemOf(task.error)));
    else if (task.interrupts?.length) this.markInterrupted(node);
    else this.endStep(node, "done", duration(node.dataset.startedAt, id));
  }

  // The line of a failed step shows the same text already.
  error(data) {
    const text = problemOf(data ?? {});
    if (text !== this.lastProblem) this.line("bad", [text]);
  }

  // Scrolls to the newest line, unless the user has scrolled up.
  scrollToEnd() {
    if (this.atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  update(data, where) {
    for (const [node, update] of Object.entries(data ?? {})) {
      if (node === "__interrupt__") this.markInterrupted(this.line("step interrupted", [el("span", { class: "outcome" }, "")]));
      else this.line("step done", [el("span", { class: "node" }, name(where, node)), el("span", { class: "outcome dim" }, keysOf(update))]);
    }
  }

  end({ status, phase }) {
    for (const node of this.running.values()) this.endStep(node, "stopped", "stopped");
    this.running.clear();
    this.line("milestone", [phase === "waiting_for_approval" ? "Waiting for an answer" : ENDS[status] ?? `Ended: ${readableName(status)}`]);
  }

  markInterrupted(node) {
    this.endStep(node, "interrupted", "waits for an answer");
  }

  endStep(node, kind, outcome) {
    node.className = `step ${kind}`;
    setText(node.querySelector(".outcome"), outcome);
  }

  line(kind, parts) {
    const node = el("li", { class: kind }, parts);
    this.list.append(node);
    if (this.list.childElementCount > MAX_LINES) this.list.firstElementChild.remove();
    return node;
  }
}

const name = (where, node) => (where ? `${where} › ${node}` : node);

function duration(startedAt, id) {
  if (!startedAt) return "";
  const ms = timeOfEvent(id) - Number(startedAt);
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function problemOf(error) {
  return typeof error === "string" ? error : `${error.error ?? "Error"}: ${error.message ?? ""}`;
}

const keysOf = (update) => (update && typeof update === "object" ? Object.keys(update).map(readableName).join(", ") : "");

const withNamespace = (where, parts) => (where ? [el("span", { class: "dim" }, `${where}: `), ...parts] : parts);

// A custom event as one line: first the member with its text, then all other members.
function customEventText(data) {
  if (data === null || typeof data !== "object") return [String(scalar(data))];
  if (Array.isArray(data)) return [JSON.stringify(data)];
  const members = Object.entries(data);
  const main = TEXT_MEMBERS.map((key) => members.find(([member, value]) => member === key && typeof value === "string")).find(Boolean);
  const others = members.filter((member) => member !== main).map(([key, value]) => `${readableName(key)} ${brief(value)}`);
  const parts = main ? [el("strong", {}, main[1])] : [];
  if (main && others.length) parts.push(": ");
  return [...parts, others.join(" · ")];
}

function brief(value) {
  if (Array.isArray(value) && value.every((each) => each === null || typeof each !== "object")) return value.join(", ") || "none";
  const text = value !== null && typeof value === "object" ? JSON.stringify(value) : String(scalar(value) === "none" ? "none" : value);
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}
