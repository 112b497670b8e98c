// The form that starts a run.

import { Refused, STREAM, call, newId, runPage } from "./api.js";
import { byId, pageData, problem, setText, show } from "./dom.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const data = pageData();
const form = byId("start");
const fields = [...form.querySelectorAll(".field[data-kind]")];
const tabs = [byId("tab-form"), byId("tab-json")].filter(Boolean);
const raw = byId("raw");
const byJson = () => !tabs.length || tabs[1].getAttribute("aria-selected") === "true";

class Wrong extends Error {}

const control = (field) => field.querySelector("input, textarea, select");

// Each kind: text of the control to a value. Empty text never gets here.
const READ = {
  line: (text) => text,
  text: (text) => text,
  scalar: (text) => (/^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text),
  number: (text, input) => bounded(asNumber(text), input),
  integer: (text, input) => {
    const value = bounded(asNumber(text), input);
    if (!Number.isInteger(value)) throw new Wrong("Must be a whole number.");
    return value;
  },
  flag: (text) => text === "true",
  choice: (text) => JSON.parse(text),
  lines: (text) => text.split("\n").map((line) => line.trim()).filter(Boolean),
  chat: (text) => [{ role: "user", content: text }],
  json: (text) => parsed(text),
};

function asNumber(text) {
  const value = Number(text.trim());
  if (!Number.isFinite(value)) throw new Wrong("Must be a number.");
  return value;
}

function bounded(value, input) {
  const { least, most } = input.dataset;
  if (least !== undefined && value < Number(least)) throw new Wrong(`Must be at least ${least}.`);
  if (most !== undefined && value > Number(most)) throw new Wrong(`Must be at most ${most}.`);
  return value;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Wrong(`Not valid JSON: ${error.message}`);
  }
}

// The values of a group of fields. Every problem is put at its field; null when there was one.
function gather(group) {
  const values = {};
  let fine = true;
  for (const field of fields.filter((each) => each.dataset.group === group)) {
    const input = control(field);
    problem(field, "");
    try {
      if (input.value.trim()) values[field.dataset.name] = READ[field.dataset.kind](input.value, input);
      else if (field.dataset.required) throw new Wrong("This is needed.");
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      problem(field, error.message);
      fine = false;
    }
  }
  return fine ? values : null;
}

// Puts a value into its control; false when it does not fit there.
function put(field, value) {
  const kind = field.dataset.kind;
  const input = control(field);
  if (value === null || value === undefined) input.value = "";
  else if (kind === "json") input.value = JSON.stringify(value, null, 2);
  else if (kind === "choice") input.value = JSON.stringify(value);
  else if (kind === "lines" && Array.isArray(value) && value.every((line) => typeof line === "string")) input.value = value.join("\n");
  else if (kind === "chat" && Array.isArray(value) && value.length === 1 && typeof value[0]?.content === "string") input.value = value[0].content;
  else if (typeof value !== "object") input.value = String(value);
  else return false;
  return true;
}

// True when the form can show all of `input`.
function fill(group, input) {
  if (input === null || typeof input !== "object" || Array.isArray(input)) return false;
  const mine = fields.filter((field) => field.dataset.group === group);
  const known = new Set(mine.map((field) => field.dataset.name));
  const whole = mine.map((field) => put(field, input[field.dataset.name])).every(Boolean);
  return whole && Object.keys(input).every((name) => known.has(name));
}

function choose(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    show(byId(each.getAttribute("aria-controls")), chosen);
  }
}

function toJson() {
  const values = gather("input");
  if (values === null) return;
  raw.value = JSON.stringify(values, null, 2);
  choose(tabs[1]);
}

function toForm() {
  problem(raw.closest(".field"), "");
  try {
    if (raw.value.trim() && !fill("input", parsed(raw.value))) throw new Wrong("The form cannot show all of this; it stays as JSON.");
    choose(tabs[0]);
  } catch (error) {
    problem(raw.closest(".field"), error.message);
  }
}

function input() {
  if (!byJson()) return gather("input");
  const field = raw.closest(".field");
  problem(field, "");
  try {
    return raw.value.trim() ? parsed(raw.value) : {};
  } catch (error) {
    problem(field, error.message);
    return null;
  }
}

function threadId() {
  const field = byId("thread").closest(".field");
  const text = byId("thread").value.trim();
  problem(field, text && !UUID.test(text) ? "A thread's id is a UUID, such as 0190f3c2-7d1e-7a44-8f0e-2b1c9d3e4f50." : "");
  return text && !UUID.test(text) ? null : text || newId();
}

async function start() {
  setText(byId("form-error"), "");
  show(byId("form-error"), false);
  const [given, context, thread] = [input(), gather("context"), threadId()];
  if (given === null || context === null || thread === null) return focusFirstProblem();
  const body = { assistant_id: data.graph_id, input: given, if_not_exists: "create", ...STREAM };
  if (Object.keys(context).length) body.context = context;
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    location.assign(runPage(await call("POST", `/threads/${thread}/runs`, body)));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(error);
  } finally {
    button.disabled = false;
  }
}

// At the field that the answer names, or the nearest one around it; else above the button.
function refuse(error) {
  for (let path = error.field; path; path = path.replace(/[.[]?[^.[]*$/, "")) {
    const field = form.querySelector(`[data-path="${CSS.escape(path)}"]`);
    if (field) {
      problem(field, error.message);
      return focusFirstProblem();
    }
  }
  setText(byId("form-error"), error.message);
  show(byId("form-error"), true);
}

function focusFirstProblem() {
  const first = form.querySelector("[aria-invalid=true]");
  first?.closest("details")?.setAttribute("open", "");
  first?.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
if (tabs.length) {
  tabs[0].addEventListener("click", () => byJson() && toForm());
  tabs[1].addEventListener("click", () => byJson() || toJson());
  tabs[0].parentElement.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    (byJson() ? toForm : toJson)();
    tabs.find((tab) => tab.tabIndex === 0).focus();
  });
}

const exampled = fields.filter((field) => field.dataset.example);
show(byId("examples"), exampled.length > 0);
byId("examples").addEventListener("click", () => {
  if (byJson() && tabs.length) choose(tabs[0]);
  for (const field of exampled) if (!control(field).value) put(field, JSON.parse(field.dataset.example));
  control(exampled[0]).focus();
});

if (data.context) fill("context", data.context);
if (data.input !== null) {
  raw.value = JSON.stringify(data.input, null, 2);
  if (tabs.length && !fill("input", data.input)) choose(tabs[1]);
} else if (!tabs.length) {
  raw.value = "{}";
}

// Only now: a form that is sent before this script listens would be lost.
form.querySelector("[type=submit]").disabled = false;
