// The form that starts a run.

import { RequestFailed, STREAM, call, newId, runPage } from "./api.js";
import { byId, pageData, setText, show, showProblem } from "./dom.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const data = pageData();
const form = byId("start");
const fields = [...form.querySelectorAll(".field[data-kind]")];
const tabs = [byId("tab-form"), byId("tab-json")].filter(Boolean);
const raw = byId("raw");
const isJsonTab = () => !tabs.length || tabs[1].getAttribute("aria-selected") === "true";

class InvalidInput extends Error {}

const control = (field) => field.querySelector("input, textarea, select");

// By kind of field: converts the text of the control to a value. An empty text is not converted.
const PARSERS = {
  line: (text) => text,
  text: (text) => text,
  scalar: (text) => (/^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text),
  number: (text, input) => bounded(asNumber(text), input),
  integer: (text, input) => {
    const value = bounded(asNumber(text), input);
    if (!Number.isInteger(value)) throw new InvalidInput("Must be a whole number.");
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
  if (!Number.isFinite(value)) throw new InvalidInput("Must be a number.");
  return value;
}

function bounded(value, input) {
  const { minimum, maximum } = input.dataset;
  if (minimum !== undefined && value < Number(minimum)) throw new InvalidInput(`Must be at least ${minimum}.`);
  if (maximum !== undefined && value > Number(maximum)) throw new InvalidInput(`Must be at most ${maximum}.`);
  return value;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidInput(`Not valid JSON: ${error.message}`);
  }
}

// The values of a group of fields. Shows each problem at its field, and returns null if there was a problem.
function valuesOf(group) {
  const values = {};
  let valid = true;
  for (const field of fields.filter((each) => each.dataset.group === group)) {
    const input = control(field);
    showProblem(field, "");
    try {
      if (input.value.trim()) values[field.dataset.name] = PARSERS[field.dataset.kind](input.value, input);
      else if (field.dataset.required) throw new InvalidInput("Required.");
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      showProblem(field, error.message);
      valid = false;
    }
  }
  return valid ? values : null;
}

// Sets the control of a field to a value. Returns false if the control cannot show the value.
function setControl(field, value) {
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

// Sets all controls of a group. Returns whether the form can show all members of `input`.
function fillGroup(group, input) {
  if (input === null || typeof input !== "object" || Array.isArray(input)) return false;
  const groupFields = fields.filter((field) => field.dataset.group === group);
  const names = new Set(groupFields.map((field) => field.dataset.name));
  const allShown = groupFields.map((field) => setControl(field, input[field.dataset.name])).every(Boolean);
  return allShown && Object.keys(input).every((name) => names.has(name));
}

function selectTab(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    show(byId(each.getAttribute("aria-controls")), chosen);
  }
}

function switchToJson() {
  const values = valuesOf("input");
  if (values === null) return;
  raw.value = JSON.stringify(values, null, 2);
  selectTab(tabs[1]);
}

function switchToForm() {
  showProblem(raw.closest(".field"), "");
  try {
    if (raw.value.trim() && !fillGroup("input", parsed(raw.value))) throw new InvalidInput("The form cannot show all of this input, so it stays JSON.");
    selectTab(tabs[0]);
  } catch (error) {
    showProblem(raw.closest(".field"), error.message);
  }
}

function runInput() {
  if (!isJsonTab()) return valuesOf("input");
  const field = raw.closest(".field");
  showProblem(field, "");
  try {
    return raw.value.trim() ? parsed(raw.value) : {};
  } catch (error) {
    showProblem(field, error.message);
    return null;
  }
}

function threadId() {
  const field = byId("thread").closest(".field");
  const text = byId("thread").value.trim();
  showProblem(field, text && !UUID.test(text) ? "A thread's id is a UUID, such as 0190f3c2-7d1e-7a44-8f0e-2b1c9d3e4f50." : "");
  return text && !UUID.test(text) ? null : text || newId();
}

async function start() {
  setText(byId("form-error"), "");
  show(byId("form-error"), false);
  const [input, context, thread] = [runInput(), valuesOf("context"), threadId()];
  if (input === null || context === null || thread === null) return focusFirstProblem();
  const body = { assistant_id: data.graph_id, input, if_not_exists: "create", ...STREAM };
  if (Object.keys(context).length) body.context = context;
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    location.assign(runPage(await call("POST", `/threads/${thread}/runs`, body)));
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error;
    showRequestError(error);
  } finally {
    button.disabled = false;
  }
}

// Shows the error at the field that the response names, or at the nearest field that contains it, or above the button.
function showRequestError(error) {
  for (let path = error.field; path; path = path.replace(/[.[]?[^.[]*$/, "")) {
    const field = form.querySelector(`[data-path="${CSS.escape(path)}"]`);
    if (field) {
      showProblem(field, error.message);
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
  tabs[0].addEventListener("click", () => isJsonTab() && switchToForm());
  tabs[1].addEventListener("click", () => isJsonTab() || switchToJson());
  tabs[0].parentElement.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    (isJsonTab() ? switchToForm : switchToJson)();
    tabs.find((tab) => tab.tabIndex === 0).focus();
  });
}

const fieldsWithExample = fields.filter((field) => field.dataset.example);
show(byId("examples"), fieldsWithExample.length > 0);
byId("examples").addEventListener("click", () => {
  if (isJsonTab() && tabs.length) selectTab(tabs[0]);
  for (const field of fieldsWithExample) if (!control(field).value) setControl(field, JSON.parse(field.dataset.example));
  control(fieldsWithExample[0]).focus();
});

if (data.context) fillGroup("context", data.context);
if (data.input !== null) {
  raw.value = JSON.stringify(data.input, null, 2);
  if (tabs.length && !fillGroup("input", data.input)) selectTab(tabs[1]);
} else if (!tabs.length) {
  raw.value = "{}";
}

// The button is enabled last: a form that is submitted before this script has its listeners would be lost.
form.querySelector("[type=submit]").disabled = false;
