// The page of a run: follows its events, loads its record, and opens the run that an answer starts.

import { RequestFailed, STREAM, base, call, runPage } from "./api.js";
import { byId, el, pageData, readableName, setText, show, showProblem } from "./dom.js";
import { RunEvents } from "./run_events.js";
import { Messages } from "./messages.js";
import { Progress } from "./progress.js";
import { ReviewCard } from "./review.js";
import { keepTimesCurrent, serverNow, setServerTime } from "./times.js";
import { Trace } from "./trace.js";
import { json, renderState, rendered } from "./values.js";
import { drawWhy } from "./why.js";

const REFRESH_INTERVAL_MS = 2000;
const DRAW_DELAY_MS = 60;
const MAX_EVENTS = 500;
const CANCEL_REASON = "by a person, on the page of the run";
const FINAL_PHASES = new Set(["completed", "failed", "cancelled"]);

const page = pageData();
const pagePath = `/ui/threads/${page.view.run.thread_id}/runs/${page.view.run.run_id}`;
const runsPath = `/threads/${page.view.run.thread_id}/runs`;
const progress = new Progress(byId("progress"));
const messages = new Messages(byId("messages"));
const trace = new Trace(page.view.run.run_id);
const cards = new Map(); // by the id of the review

let view = page.view;
let values;
let ended = false;
let leavingPage = false;
let reviewShown = false;
let eventCount = 0;
let drawTimer = 0;
let drawnResult = { values: undefined, atEnd: false };
let drawnUsage = "";

// events

function onEvent(event) {
  const [mode, ...namespace] = event.name.split("|");
  if (mode === "metadata" && event.data.attempt > 1) messages.discardPartial();
  if (mode === "values" && !namespace.length) {
    values = event.data;
    messages.setComplete(values?.messages);
  }
  messages.onEvent(event.name, event.data);
  progress.onEvent(event);
  listEvent(event);
  show(byId("no-events"), false);
  if (mode === "deleted") view = { ...view, deleted: true };
  if (mode === "end") onEnd(event);
  else if (["metadata", "notice"].includes(mode) || ["queued", "paused"].includes(view.run.phase)) refreshSoon();
  drawSoon();
}

async function onEnd(event) {
  ended = true;
  if (event.result && values === undefined) values = event.result;
  await refresh();
  if (values === undefined && !view.deleted && view.run.phase === "completed") {
    values = await call("GET", `${runsPath}/${view.run.run_id}/join`).catch(() => undefined);
    drawSoon();
  }
}

function listEvent({ name, data, id }) {
  eventCount += 1;
  const row = el("li", { "data-id": id, "data-name": name });
  const details = el("details", {}, el("summary", {}, el("code", {}, name), " ", el("span", { class: "dim" }, id)));
  details.addEventListener("toggle", () => details.childElementCount === 1 && details.append(json(data)), { once: true });
  row.append(details);
  const list = byId("events");
  list.append(row);
  if (list.childElementCount > MAX_EVENTS) list.firstElementChild.remove();
}

// the record of the run

let refreshing = null;

function refresh() {
  refreshing ??= (async () => {
    try {
      const response = await call("GET", `${pagePath}/now`);
      const changed = response.run?.updated_at !== view.run.updated_at;
      view = response.deleted ? { ...view, deleted: true } : response;
      if (changed) trace.changed();
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error; // the server cannot be reached; the next interval sends the request again
    } finally {
      refreshing = null;
    }
    drawSoon();
  })();
  return refreshing;
}

let refreshTimer = 0;

function refreshSoon() {
  refreshTimer ||= setTimeout(() => { refreshTimer = 0; refresh(); }, 100);
}

function onInterval() {
  if (view.deleted || FINAL_PHASES.has(view.run.phase)) {
    openAnsweredRun();
    return;
  }
  refresh();
}

// Opens the run that continues with the answer, whoever has given it.
function openAnsweredRun() {
  if (reviewShown && view.run.resumed_by && !leavingPage) openRun({ ...view.run, run_id: view.run.resumed_by });
}

function openRun(run) {
  leavingPage = true;
  location.assign(runPage(run));
}

// drawing

function drawSoon() {
  drawTimer ||= setTimeout(() => { drawTimer = 0; draw(); }, DRAW_DELAY_MS);
}

function draw() {
  const { run } = view;
  const phase = view.deleted ? "cancelled" : run.phase;
  const isFinal = view.deleted || FINAL_PHASES.has(phase);
  const pill = byId("phase").firstElementChild;
  pill.className = `pill ${phase}`;
  setText(pill, view.deleted ? "deleted" : view.phase_text);
  setText(byId("run-summary"), summary(run));
  setText(byId("phase-text"), view.deleted ? "deleted" : view.phase_text);
  byId("since").dateTime = run.updated_at;
  setText(byId("since"), utcText(run.updated_at));
  show(byId("to-review"), phase === "waiting_for_approval" && view.reviews !== null);
  setText(byId("attempt"), String(run.attempt || "not yet"));
  setText(byId("event-count"), String(eventCount));
  document.title = `${run.graph_id}: ${view.deleted ? "deleted" : view.phase_text} · Slipway`;
  show(byId("cancel"), !isFinal && phase !== "waiting_for_approval");
  show(byId("rollback"), !isFinal && phase !== "waiting_for_approval");
  show(byId("run-again"), isFinal && !view.deleted && !page.command);
  show(byId("new-run"), isFinal && !view.deleted);
  drawFailure(run);
  drawPause();
  drawWhy(view.deleted ? null : view.why);
  drawReview(phase);
  drawResult(isFinal);
  drawConversation(isFinal);
  drawChain(run);
  drawUsage(run);
  if (!isFinal && phase !== "waiting_for_approval") progress.scrollToEnd();
}

function summary(run) {
  if (view.deleted) return "Cancelled and undone. Nothing of this run is stored.";
  if (run.phase === "queued") return queued(run);
  if (run.phase === "running") return run.attempt > 1 ? `Attempt ${run.attempt} is running; it continues after the last finished step.` : "A worker executes it.";
  if (run.phase === "waiting_for_approval") return view.reviews?.length ? "It continues when a person answers." : "Stopped at a breakpoint. It continues when you press the button.";
  if (run.phase === "paused") return `It continues later: ${run.reason ?? "an operator has paused it"}.`;
  if (run.phase === "failed") return `Failed${run.error?.code ? ` with ${run.error.code}` : ""}.`;
  if (run.phase === "cancelled") return `Cancelled: ${run.error?.message ?? "the run was deleted"}. Finished steps are kept.`;
  if (run.resumed_by) return "Answered. The run that continues with the answer is linked at the side.";
  return "Completed.";
}

function queued(run) {
  if (view.workers === 0) return "Queued, and there is no live worker. It starts when a worker starts.";
  if (run.attempt > 0) return `Queued for another attempt: ${run.reason ?? "the last one did not finish"}.`;
  const why = { queue: "waiting for a free worker", delay: "it starts later, as requested" }[run.reason] ?? run.reason;
  return why ? `Queued: ${readableName(why)}.` : "Queued.";
}

function utcText(time) {
  return `${time.slice(0, 19).replace("T", " ")} UTC`;
}

function factList(pairs) {
  return el("dl", { class: "facts" }, pairs.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));
}

function drawFailure({ error, phase }) {
  show(byId("failure"), phase === "failed");
  if (phase !== "failed" || byId("failure-body").childElementCount) return;
  const failure = error ?? {};
  const facts = Object.entries({ Code: failure.code, Kind: failure.error, Node: failure.node, Attempt: failure.attempt }).filter(([, value]) => value !== undefined && value !== null);
  byId("failure-body").append(el("p", { class: "plain message-text" }, String(failure.message ?? "The reason is unknown.")),
    factList(facts));
  if (view.raise_command) byId("failure-body").append(el("p", {}, "An operator can raise this ceiling and continue the run:"), el("pre", {}, view.raise_command));
}

function drawPause() {
  const pause = view.deleted ? null : view.pause;
  show(byId("pause"), Boolean(pause));
  show(byId("resume"), Boolean(pause?.resumable));
  if (!pause) return;
  const since = pause.at && utcText(pause.at);
  const facts = Object.entries({ "Paused by": pause.by, Since: since, Reason: pause.reason }).filter(([, value]) => value);
  byId("pause-body").replaceChildren(pause.switch ? el("p", { class: "plain" }, pause.switch) : factList(facts));
}

function drawReview(phase) {
  const waits = phase === "waiting_for_approval" && view.reviews !== null && !view.deleted;
  show(byId("review"), waits && !leavingPage);
  if (!waits) return;
  const container = byId("interrupts");
  for (const data of view.reviews) {
    const id = data.review.review_id;
    if (!cards.has(id)) cards.set(id, new ReviewCard(container, onDecided, { linked: true }));
    cards.get(id).show(data);
  }
  if (!view.reviews.length && !container.childElementCount) container.append(el("div", { class: "actions" }, el("button", { type: "button", class: "primary", onclick: continueRun }, "Continue")));
  if (!reviewShown && location.hash === "#review") byId("review").scrollIntoView();
  reviewShown = true;
}

async function onDecided() {
  await refresh();
  openAnsweredRun();
}

function drawResult(isFinal) {
  const container = byId("result-body");
  const atEnd = isFinal || view.run.phase === "waiting_for_approval";
  setText(byId("result-title"), isFinal && view.run.phase === "completed" ? "Result" : "State so far");
  if (values === undefined || values === null || (drawnResult.values === values && drawnResult.atEnd === atEnd)) return;
  drawnResult = { values, atEnd };
  container.replaceChildren(renderState(values, atEnd ? page.outputs : []));
  show(byId("result"), container.firstElementChild.childElementCount > 0);
}

function drawConversation(isFinal) {
  show(byId("conversation"), messages.any);
  if (isFinal || view.run.phase === "waiting_for_approval") messages.discardPartial();
  messages.render();
  show(byId("reply"), isFinal && !view.deleted && messages.any);
}

function drawChain(run) {
  const links = [["continues an earlier run", run.resumes], ["continued by a later run", run.resumed_by]].filter(([, id]) => id);
  for (const part of document.querySelectorAll(".facts .linked-runs")) show(part, links.length > 0);
  byId("linked-runs").replaceChildren(...links.map(([text, id]) => el("a", { href: runPage({ ...run, run_id: id }) }, text)).flatMap((link, index) => (index ? [", ", link] : [link])));
}

function drawUsage(run) {
  const key = JSON.stringify([run.usage, run.attempt]);
  if (key !== drawnUsage) byId("usage").replaceChildren(usageTable(run));
  drawnUsage = key;
}

function usageTable({ usage, ceilings, attempt }) {
  const visits = Object.values(usage?.node_visits ?? {});
  const rows = [
    ["Supersteps", usage?.steps, ceilings?.max_steps],
    ["Node visits", visits.length ? Math.max(...visits) : undefined, ceilings?.max_node_visits],
    ["Attempts", attempt, ceilings?.max_attempts],
    ["Node retries", usage?.retries, ceilings?.max_retries],
    ["Active time", usage?.active_s, ceilings?.max_active_s, seconds],
    ["Event log", usage?.event_bytes, ceilings?.max_event_bytes, bytes],
  ];
  return el("table", { class: "usage" }, el("tbody", {}, rows.filter(([, , limit]) => limit).map(([name, value, limit, format = String]) => el("tr", {},
    el("th", { scope: "row" }, name),
    el("td", {}, el("meter", { min: 0, max: limit, high: limit * 0.8, value: value ?? 0, "aria-label": name })),
    el("td", { class: "number" }, `${format(value ?? 0)} of ${format(limit)}`)))));
}

const seconds = (value) => `${Number.isInteger(value) ? value : value.toFixed(value < 10 ? 2 : 0)} s`;

function bytes(value) {
  for (const [size, unit] of [[1024 * 1024, "MiB"], [1024, "KiB"]]) {
    if (value >= size) return `${(value / size).toFixed(value % size ? 1 : 0)} ${unit}`;
  }
  return `${value} B`;
}

function drawElapsed() {
  const { run } = view;
  const until = FINAL_PHASES.has(run.phase) || run.phase === "waiting_for_approval" ? Date.parse(run.updated_at) : serverNow();
  const seconds = Math.max(0, until - Date.parse(run.created_at)) / 1000;
  const text = seconds < 10 ? `${seconds.toFixed(1)} s` : seconds < 120 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  setText(byId("elapsed"), text);
}

// actions of the user

function showRequestError(message, error) {
  if (!(error instanceof RequestFailed)) throw error;
  setText(message, error.message);
  show(message, true);
}

async function startNext(body) {
  const { run } = view;
  const context = page.context ? { context: page.context } : {};
  openRun(await call("POST", runsPath, { assistant_id: run.assistant_id, ...context, ...STREAM, ...body }));
}

// Continues a run that stopped at a breakpoint.
async function continueRun() {
  show(byId("action-error"), false);
  setText(byId("run-summary"), "Continuing…");
  try {
    await startNext({ input: null, multitask_strategy: "reject" });
  } catch (error) {
    showRequestError(byId("action-error"), error);
    refresh();
  }
}

async function cancel(action) {
  const buttons = [byId("cancel"), byId("rollback")];
  for (const button of buttons) button.disabled = true;
  show(byId("action-error"), false);
  try {
    await call("POST", `${runsPath}/${view.run.run_id}/cancel?action=${action}&reason=${encodeURIComponent(CANCEL_REASON)}`);
    setText(byId("run-summary"), "Cancelling: the run stops as soon as the running step allows it.");
  } catch (error) {
    if (error.status !== 404) showRequestError(byId("action-error"), error); // 404: the run has ended in between
  } finally {
    for (const button of buttons) button.disabled = false;
    refreshSoon();
  }
}

async function resume() {
  byId("resume").disabled = true;
  show(byId("action-error"), false);
  try {
    await call("POST", `/ops/runs/${view.run.run_id}/resume`, {});
  } catch (error) {
    showRequestError(byId("action-error"), error);
  } finally {
    byId("resume").disabled = false;
    refreshSoon();
  }
}

byId("resume").addEventListener("click", resume);
byId("cancel").addEventListener("click", () => cancel("interrupt"));
byId("rollback").addEventListener("click", () => byId("confirm-rollback").showModal());
byId("confirm-rollback").addEventListener("close", () => byId("confirm-rollback").returnValue === "yes" && cancel("rollback"));

const reply = byId("reply");
reply?.addEventListener("submit", async (event) => {
  event.preventDefault();
  showProblem(reply, "");
  const text = byId("reply-text").value.trim();
  if (!text) return showProblem(reply, "Write something first.");
  try {
    return await startNext({ input: { messages: [{ role: "user", content: text }] } });
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error;
    return showProblem(reply, error.message);
  }
});
reply?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) reply.requestSubmit();
});

// start

const runInput = page.command ?? page.input;
byId("input-body").append(runInput === null ? el("p", { class: "dim" }, "none: the run continues the thread") : rendered(runInput, 2));

new RunEvents(`${base}${pagePath}/events`, {
  onEvent,
  onState: (state) => {
    setText(byId("connection"), state === "lost" ? "The connection is lost. When it is open again, the missing events are loaded." : "");
    show(byId("connection"), state === "lost" && !ended);
  },
  wasDeleted: async () => { await refresh(); return view.deleted === true; },
});
setServerTime(page.view.server_time);
keepTimesCurrent();
setInterval(onInterval, REFRESH_INTERVAL_MS);
setInterval(drawElapsed, 200);
drawElapsed();
draw();
