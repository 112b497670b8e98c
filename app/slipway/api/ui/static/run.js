// The page of a run: follows its events, reads its current state, and opens the run that an answer starts.

import { Refused, STREAM, base, call, runPage } from "./api.js";
import { byId, el, pageData, problem, setText, show, words } from "./dom.js";
import { Live } from "./live.js";
import { Messages } from "./messages.js";
import { Progress } from "./progress.js";
import { ask, unlock } from "./review.js";
import { json, result, shown } from "./values.js";

const ASK_EVERY_MS = 2000;
const DRAW_EVERY_MS = 60;
const MOST_EVENTS = 500;
const REASON = "by a person, on the page of the run";
const OVER = new Set(["completed", "failed", "cancelled"]);

const page = pageData();
const here = `/ui/threads/${page.now.run.thread_id}/runs/${page.now.run.run_id}`;
const api = `/threads/${page.now.run.thread_id}/runs`;
const progress = new Progress(byId("progress"));
const messages = new Messages(byId("messages"));
const skew = Date.parse(page.now.server_time) - Date.now();

let now = page.now;
let values;
let ended = false;
let leaving = false;
let asked = "";
let seen = 0;
let drawing = 0;
let drawn = { values: undefined, whole: false };
let used = "";

// events

function take(event) {
  const [mode, ...inside] = event.name.split("|");
  if (mode === "metadata" && event.data.attempt > 1) messages.restart();
  if (mode === "values" && !inside.length) {
    values = event.data;
    messages.settle(values?.messages);
  }
  messages.take(event.name, event.data);
  progress.take(event);
  record(event);
  show(byId("nothing-yet"), false);
  if (mode === "gone") now = { ...now, gone: true };
  if (mode === "end") finish(event);
  else if (mode === "metadata" || now.run.phase === "queued") refreshSoon();
  drawSoon();
}

async function finish(event) {
  ended = true;
  if (event.result && values === undefined) values = event.result;
  await refresh();
  if (values === undefined && !now.gone && now.run.phase === "completed") {
    values = await call("GET", `${api}/${now.run.run_id}/join`).catch(() => undefined);
    drawSoon();
  }
}

function record({ name, data, id }) {
  seen += 1;
  const row = el("li", { "data-id": id, "data-name": name });
  const details = el("details", {}, el("summary", {}, el("code", {}, name), " ", el("span", { class: "dim" }, id)));
  details.addEventListener("toggle", () => details.childElementCount === 1 && details.append(json(data)), { once: true });
  row.append(details);
  const list = byId("events");
  list.append(row);
  if (list.childElementCount > MOST_EVENTS) list.firstElementChild.remove();
}

// the current state

let refreshing = null;

function refresh() {
  refreshing ??= (async () => {
    try {
      const answer = await call("GET", `${here}/now`);
      now = answer.gone ? { ...now, gone: true } : answer;
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // not reachable for a moment; the next interval requests it again
    } finally {
      refreshing = null;
    }
    drawSoon();
  })();
  return refreshing;
}

let soon = 0;

function refreshSoon() {
  soon ||= setTimeout(() => { soon = 0; refresh(); }, 100);
}

function follow() {
  if (now.gone || OVER.has(now.run.phase)) {
    // Another client answered while this page waited: open the run that it started.
    if (asked && now.run.resumed_by && !leaving) go({ ...now.run, run_id: now.run.resumed_by });
    return;
  }
  refresh();
}

function go(run) {
  leaving = true;
  location.assign(runPage(run));
}

// drawing

function drawSoon() {
  drawing ||= setTimeout(() => { drawing = 0; draw(); }, DRAW_EVERY_MS);
}

function draw() {
  const { run } = now;
  const phase = now.gone ? "cancelled" : run.phase;
  const over = now.gone || OVER.has(phase);
  const pill = byId("phase").firstElementChild;
  pill.className = `pill ${phase}`;
  setText(pill, now.gone ? "removed" : now.phase_text);
  setText(byId("standing"), standing(run));
  setText(byId("status"), now.gone ? "removed" : now.phase_text);
  byId("since").dateTime = run.updated_at;
  setText(byId("since"), `${run.updated_at.slice(0, 19).replace("T", " ")} UTC`);
  show(byId("to-review"), phase === "waiting_for_approval" && now.interrupts !== null);
  setText(byId("attempt"), String(run.attempt || "not yet"));
  setText(byId("event-count"), String(seen));
  document.title = `${run.graph_id}: ${now.gone ? "removed" : now.phase_text} · Slipway`;
  show(byId("cancel"), !over && phase !== "waiting_for_approval");
  show(byId("rollback"), !over && phase !== "waiting_for_approval");
  show(byId("again"), over && !now.gone && !page.command);
  show(byId("more"), over && !now.gone);
  drawFailure(run);
  drawReview(phase);
  drawResult(over);
  drawConversation(over);
  drawChain(run);
  drawUsage(run);
  if (!over && phase !== "waiting_for_approval") progress.follow();
}

function standing(run) {
  if (now.gone) return "Cancelled and undone. Nothing of this run is stored any more.";
  if (run.phase === "queued") return queued(run);
  if (run.phase === "running") return run.attempt > 1 ? `Attempt ${run.attempt} is running; it continues after the last finished step.` : "A worker executes it.";
  if (run.phase === "waiting_for_approval") return now.interrupts?.length ? "It continues when a person answers." : "Stopped at a breakpoint. It continues when you press the button.";
  if (run.phase === "paused") return `Paused: ${run.reason ?? "by an operator"}.`;
  if (run.phase === "failed") return `Failed${run.error?.code ? ` with ${run.error.code}` : ""}.`;
  if (run.phase === "cancelled") return `Cancelled: ${run.error?.message ?? "the run was removed"}. Finished steps are kept.`;
  if (run.resumed_by) return "Answered. The run that continues with the answer is linked at the side.";
  return "Completed.";
}

function queued(run) {
  if (now.workers === 0) return "Queued, and there is no live worker. It starts when a worker starts.";
  if (run.attempt > 0) return `Queued for another attempt: ${run.reason ?? "the last one did not finish"}.`;
  const why = { queue: "waiting for a free worker", delay: "it starts later, as requested" }[run.reason] ?? run.reason;
  return why ? `Queued: ${words(why)}.` : "Queued.";
}

function drawFailure({ error, phase }) {
  show(byId("failure"), phase === "failed");
  if (phase !== "failed" || byId("failure-body").childElementCount) return;
  const told = error ?? {};
  const about = Object.entries({ Code: told.code, Kind: told.error, Node: told.node, Attempt: told.attempt }).filter(([, value]) => value !== undefined && value !== null);
  byId("failure-body").append(el("p", { class: "plain message-text" }, String(told.message ?? "The reason is unknown.")),
    el("dl", { class: "facts" }, about.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])));
}

function drawReview(phase) {
  const waits = phase === "waiting_for_approval" && now.interrupts !== null && !now.gone;
  show(byId("review"), waits && !leaving);
  if (!waits) return;
  const key = JSON.stringify(now.interrupts);
  if (key === asked) return;
  if (!asked && location.hash === "#review") byId("review").scrollIntoView();
  asked = key;
  if (now.interrupts.length) ask(byId("questions"), now.interrupts, (answers) => answerWith({ command: { resume: answers }, strict_resume: true }));
  else byId("questions").replaceChildren(el("div", { class: "actions" }, el("button", { type: "button", class: "primary", onclick: () => answerWith({ input: null }) }, "Go on")));
}

function drawResult(over) {
  const place = byId("result-body");
  const whole = over || now.run.phase === "waiting_for_approval";
  setText(byId("result-title"), over && now.run.phase === "completed" ? "Result" : "State so far");
  if (values === undefined || values === null || (drawn.values === values && drawn.whole === whole)) return;
  drawn = { values, whole };
  place.replaceChildren(result(values, whole ? page.outputs : []));
  show(byId("result"), place.firstElementChild.childElementCount > 0);
}

function drawConversation(over) {
  show(byId("conversation"), messages.any);
  if (over || now.run.phase === "waiting_for_approval") messages.restart();
  messages.render();
  show(byId("reply"), over && !now.gone && messages.any);
}

function drawChain(run) {
  const links = [["goes on from an earlier run", run.resumes], ["continued by a later run", run.resumed_by]].filter(([, id]) => id);
  for (const part of document.querySelectorAll(".facts .chain")) show(part, links.length > 0);
  byId("chain").replaceChildren(...links.map(([text, id]) => el("a", { href: runPage({ ...run, run_id: id }) }, text)).flatMap((link, index) => (index ? [", ", link] : [link])));
}

function drawUsage(run) {
  const key = JSON.stringify([run.usage, run.attempt]);
  if (key !== used) byId("usage").replaceChildren(usage(run));
  used = key;
}

function usage({ usage: spent, ceilings, attempt }) {
  const visits = Object.values(spent?.node_visits ?? {});
  const rows = [
    ["Supersteps", spent?.steps, ceilings?.max_steps],
    ["Node visits", visits.length ? Math.max(...visits) : undefined, ceilings?.max_node_visits],
    ["Attempts", attempt, ceilings?.max_attempts],
    ["Node retries", spent?.retries, ceilings?.max_retries],
    ["Active time", spent?.active_s, ceilings?.max_active_s, seconds],
    ["Event log", spent?.event_bytes, ceilings?.max_event_bytes, bytes],
  ];
  return el("table", { class: "usage" }, el("tbody", {}, rows.filter(([, , most]) => most).map(([name, value, most, written = plainly]) => el("tr", {},
    el("th", { scope: "row" }, name),
    el("td", {}, el("meter", { min: 0, max: most, high: most * 0.8, value: value ?? 0, "aria-label": name })),
    el("td", { class: "number" }, `${written(value ?? 0)} of ${written(most)}`)))));
}

const plainly = (value) => String(value);
const seconds = (value) => `${Number.isInteger(value) ? value : value.toFixed(value < 10 ? 2 : 0)} s`;

function bytes(value) {
  for (const [size, unit] of [[1024 * 1024, "MiB"], [1024, "KiB"]]) {
    if (value >= size) return `${(value / size).toFixed(value % size ? 1 : 0)} ${unit}`;
  }
  return `${value} B`;
}

function tick() {
  const { run } = now;
  const until = OVER.has(run.phase) || run.phase === "waiting_for_approval" ? Date.parse(run.updated_at) : Date.now() + skew;
  const seconds = Math.max(0, until - Date.parse(run.created_at)) / 1000;
  const text = seconds < 10 ? `${seconds.toFixed(1)} s` : seconds < 120 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  setText(byId("elapsed"), text);
}

// what a person does

function refused(place, error) {
  if (!(error instanceof Refused)) throw error;
  setText(place, error.message);
  show(place, true);
}

async function startNext(body) {
  const { run } = now;
  const context = page.context ? { context: page.context } : {};
  go(await call("POST", api, { assistant_id: run.assistant_id, ...context, ...STREAM, ...body }));
}

async function answerWith(body) {
  show(byId("action-error"), false);
  setText(byId("standing"), "Sending the answer…");
  try {
    await startNext({ ...body, multitask_strategy: "reject" });
  } catch (error) {
    unlock(byId("questions"));
    refused(byId("action-error"), error);
    refresh();
  }
}

async function cancel(action) {
  const buttons = [byId("cancel"), byId("rollback")];
  for (const button of buttons) button.disabled = true;
  show(byId("action-error"), false);
  try {
    await call("POST", `${api}/${now.run.run_id}/cancel?action=${action}&reason=${encodeURIComponent(REASON)}`);
    setText(byId("standing"), "Cancelling: the run stops as soon as the running step allows it.");
  } catch (error) {
    if (error.status !== 404) refused(byId("action-error"), error); // it ended just before
  } finally {
    for (const button of buttons) button.disabled = false;
    refreshSoon();
  }
}

byId("cancel").addEventListener("click", () => cancel("interrupt"));
byId("rollback").addEventListener("click", () => byId("confirm").showModal());
byId("confirm").addEventListener("close", () => byId("confirm").returnValue === "yes" && cancel("rollback"));

const reply = byId("reply");
reply?.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem(reply, "");
  const text = byId("reply-text").value.trim();
  if (!text) return problem(reply, "Write something first.");
  try {
    return await startNext({ input: { messages: [{ role: "user", content: text }] } });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return problem(reply, error.message);
  }
});
reply?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) reply.requestSubmit();
});

// start

const given = page.command ?? page.input;
byId("input-body").append(given === null ? el("p", { class: "dim" }, "none: the run continues the thread") : shown(given, 2));

new Live(`${base}${here}/events`, {
  onEvent: take,
  onState: (state) => {
    setText(byId("connection"), state === "lost" ? "The connection was lost. Events continue where they stopped when it is available again." : "");
    show(byId("connection"), state === "lost" && !ended);
  },
  isGone: async () => { await refresh(); return now.gone === true; },
});
setInterval(follow, ASK_EVERY_MS);
setInterval(tick, 200);
tick();
draw();
