// The panel with the trace of a run: a line for each span, with a bar on a time axis. It follows a run that executes.

import { RequestFailed, call } from "./api.js";
import { byId, el, readableName, setText, show } from "./dom.js";
import { rendered } from "./values.js";

const REFRESH_INTERVAL_MS = 2000;
const MAX_SPANS = 2000;
const DEEPEST = 10; // classes in page.css
const AXIS = 1000;
const SVG = "http://www.w3.org/2000/svg";

export class Trace {
  constructor(runId) {
    this.path = `/ops/runs/${runId}/trace?format=spans`;
    this.panel = byId("trace");
    this.list = byId("trace-spans");
    this.rows = new Map(); // by the id of the span
    this.withContent = false;
    this.over = false;
    this.loading = null;
    this.panel.addEventListener("toggle", () => this.panel.open && this.load());
    byId("trace-content").addEventListener("click", () => this.showContent());
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    setInterval(() => this.panel.open && !this.over && this.load(), REFRESH_INTERVAL_MS);
  }

  // Called when the record of the run has changed.
  changed() {
    this.over = false;
    if (this.panel.open) this.load();
  }

  showContent() {
    this.withContent = !this.withContent;
    byId("trace-content").setAttribute("aria-pressed", String(this.withContent));
    this.load();
  }

  load() {
    this.loading ??= (async () => {
      try {
        this.draw(await call("GET", `${this.path}${this.withContent ? "&content=1" : ""}`));
      } catch (error) {
        if (!(error instanceof RequestFailed)) throw error;
        this.over = error.status === 404 || error.status === 403;
        this.say(error.message);
      } finally {
        this.loading = null;
      }
    })();
    return this.loading;
  }

  say(...problems) {
    const text = problems.filter(Boolean).join(" ");
    setText(byId("trace-problem"), text);
    show(byId("trace-problem"), Boolean(text));
  }

  draw(trace) {
    this.over = trace.ended_at !== null;
    setText(byId("trace-summary"), summary(trace));
    setText(byId("trace-axis"), `0 s to ${duration(trace.duration_s)}${trace.waits_are_shortened ? "; long waits are shortened" : ""}`);
    const hidden = Math.max(0, trace.spans.length - MAX_SPANS) + trace.left_out_spans + trace.cut_spans;
    this.say(trace.problem, trace.content_problem, hidden && `${hidden} spans are not shown.`);
    const shown = trace.spans.slice(0, MAX_SPANS);
    const ids = new Set(shown.map((span) => span.span_id));
    for (const [id, row] of this.rows) if (!ids.has(id)) { row.item.remove(); this.rows.delete(id); }
    shown.forEach((span, index) => {
      if (!this.rows.has(span.span_id)) this.rows.set(span.span_id, new Row());
      const row = this.rows.get(span.span_id);
      row.show(span);
      if (this.list.children[index] !== row.item) this.list.insertBefore(row.item, this.list.children[index] ?? null);
    });
  }

  // The arrow keys move between the spans, and open and close their details.
  onKey(event) {
    const summaries = [...this.list.querySelectorAll(":scope > li > details > summary")];
    const at = summaries.indexOf(document.activeElement);
    if (at < 0) return;
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: summaries.length - 1 }[event.key];
    if (target !== undefined) summaries[target]?.focus();
    else if (event.key === "ArrowRight") summaries[at].parentElement.open = true;
    else if (event.key === "ArrowLeft") summaries[at].parentElement.open = false;
    else return;
    event.preventDefault();
  }
}

// One span. Its elements stay the same when it is shown again, so that what is open or focused stays so.
class Row {
  constructor() {
    this.name = el("span", { class: "span-name" });
    this.took = el("span", { class: "span-time" });
    this.note = el("span", { class: "span-note" });
    this.bar = document.createElementNS(SVG, "rect");
    this.bar.setAttribute("height", "10");
    const axis = document.createElementNS(SVG, "svg");
    for (const [name, value] of [["viewBox", `0 0 ${AXIS} 10`], ["preserveAspectRatio", "none"], ["class", "span-axis"], ["aria-hidden", "true"]]) axis.setAttribute(name, value);
    axis.append(this.bar);
    this.body = el("div", { class: "span-details" });
    this.item = el("li", {}, el("details", {}, el("summary", {}, this.name, axis, this.took, this.note), this.body));
    this.drawn = "";
  }

  show(span) {
    const key = JSON.stringify(span);
    if (key === this.drawn) return;
    this.drawn = key;
    this.item.className = `span depth-${Math.min(span.depth, DEEPEST)} ${span.kind} ${span.state}`;
    this.item.dataset.kind = span.kind;
    setText(this.name, span.kind === "queue" ? span.name : span.kind === span.name ? span.name : `${span.kind} ${span.name}`);
    setText(this.took, duration(span.duration_s) + (span.ended_at === null ? " so far" : ""));
    setText(this.note, note(span));
    this.bar.setAttribute("x", String(Math.round(span.offset * AXIS)));
    this.bar.setAttribute("width", String(Math.max(4, Math.round(span.extent * AXIS))));
    const facts = { started: span.started_at, ended: span.ended_at ?? "not yet", error: span.error, ...span.attributes };
    this.body.replaceChildren(
      el("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value !== null).map(([name, value]) => [el("dt", {}, readableName(name)), el("dd", {}, String(value))])),
      ...Object.entries(span.content ?? {}).map(([name, value]) => el("div", {}, el("h3", {}, readableName(name)), rendered(value, 2))),
    );
  }
}

function note({ error, attributes }) {
  const parts = [];
  if (error) parts.push(`failed: ${error}`);
  if (attributes.worker) parts.push(attributes.worker);
  if (attributes.tokens_in || attributes.tokens_out) parts.push(`${attributes.tokens_in ?? 0}+${attributes.tokens_out ?? 0} tokens`);
  if (attributes.cost_nano) parts.push(`$${Number((attributes.cost_nano / 1e9).toPrecision(6))}`);
  if (attributes.retries) parts.push(`${attributes.retries} retries`);
  if (attributes.interrupted) parts.push("asks");
  if (attributes.decided_by) parts.push(`${attributes.decision ?? "decided"} by ${attributes.decided_by}`);
  if (attributes.status) parts.push(`HTTP ${attributes.status}`);
  return parts.join(", ");
}

function summary({ runs, totals, duration_s: seconds }) {
  const workers = Array.isArray(totals.workers) ? totals.workers.length : totals.workers;
  return `${count(runs.length, "run")}, ${count(totals.attempts, "attempt")}, ${count(workers, "worker")}, ${duration(seconds)}`;
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function duration(seconds) {
  if (seconds < 0.1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 100) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 6000) return `${Number((seconds / 60).toPrecision(3))} min`;
  return seconds < 172_800 ? `${Number((seconds / 3600).toPrecision(3))} h` : `${Number((seconds / 86_400).toPrecision(3))} d`;
}
