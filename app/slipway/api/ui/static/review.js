// The review: shows the interrupts of a waiting run, and the controls to answer them.

import { el, readableName, showProblem } from "./dom.js";
import { facts, rendered } from "./values.js";

const DECISIONS = ["approve", "edit", "reject", "respond"];
const LABEL = { approve: "Approve", edit: "Edit", reject: "Reject", respond: "Respond" };
const SEND = { edit: "Send the edited version", reject: "Send the rejection", respond: "Send the response" };

// Shows every interrupt. Calls `send` with {interrupt id: answer} when all of them are answered.
export function showInterrupts(container, interrupts, send) {
  const answers = {};
  const store = (id) => (value) => {
    answers[id] = value;
    if (interrupts.every((each) => each.id in answers)) return send(answers);
    return undefined;
  };
  container.replaceChildren(...interrupts.map(({ id, value }, index) => {
    const several = interrupts.length > 1;
    const requests = requestsOf(value);
    const inner = requests ? decisionForm(requests, store(id), `interrupt-${index}`, several) : answerForm(value, store(id), `interrupt-${index}`, several);
    return el("div", { class: "interrupt", "data-interrupt": id }, inner);
  }));
}

// [{name, args, description, allowed}] if the value of the interrupt contains requests for approval, else null.
function requestsOf(value) {
  const parts = Array.isArray(value) ? value : [value];
  if (!parts.length || !parts.every((part) => Array.isArray(part?.action_requests) && part.action_requests.length)) return null;
  return parts.flatMap((part) => part.action_requests.map((request, index) => {
    const configs = Array.isArray(part.review_configs) ? part.review_configs : [];
    const config = configs.find((each) => each?.action_name === request?.name) ?? configs[index];
    const allowed = Array.isArray(config?.allowed_decisions) ? config.allowed_decisions.filter((each) => DECISIONS.includes(each)) : [];
    const args = request?.args ?? request?.arguments ?? {};
    return { name: String(request?.name ?? "action"), args, description: request?.description, allowed: allowed.length ? allowed : ["approve", "reject"] };
  }));
}

function decisionForm(requests, submit, id, several) {
  const decisions = requests.map(() => null);
  const single = requests.length === 1;
  const send = el("button", { type: "button", class: "primary", disabled: true, onclick: () => finish() }, several ? "Save these decisions" : "Send the decisions");
  const finish = () => { lock(box); return submit({ decisions }); };
  const cards = requests.map((request, index) => card(request, `${id}-${index}`, (decision) => {
    decisions[index] = decision;
    if (single) finish();
    else send.disabled = !decisions.every(Boolean);
  }));
  const box = el("div", {}, cards, single ? null : el("div", { class: "actions" }, send));
  return box;
}

function card({ name, args, description, allowed }, id, decide) {
  const form = el("div", { class: "decision-form" });
  const buttons = allowed.map((kind) => el("button", { type: "button", "data-decision": kind, class: kind === "approve" ? "primary" : "", "aria-pressed": "false", onclick: () => choose(kind) }, LABEL[kind]));
  const choose = (kind) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.decision === kind));
    form.replaceChildren();
    if (kind === "approve") return decide({ type: "approve" });
    form.append(kind === "edit" ? editForm(name, args, id, decide) : textForm(kind, id, decide));
    return form.querySelector("input, textarea").focus();
  };
  return el("section", { class: "action", "aria-label": readableName(name) }, el("h3", {}, readableName(name)),
    typeof description === "string" ? el("p", { class: "plain" }, description) : null,
    el("details", { open: typeof description !== "string" }, el("summary", {}, "Details"), facts(args)),
    el("div", { class: "actions" }, buttons), form);
}

// One control for each argument. A value that is not a text is edited as JSON.
function editForm(name, args, id, decide) {
  const rows = Object.entries(args).map(([key, value], index) => {
    const isText = typeof value === "string";
    const text = isText ? value : JSON.stringify(value);
    const isLong = text.length > 60 || text.includes("\n");
    const control = el(isLong ? "textarea" : "input", { id: `${id}-${index}`, ...(isLong ? { rows: 4 } : { type: "text", value: text }), class: isText ? "" : "code" });
    if (isLong) control.value = text;
    const field = el("div", { class: "field" }, el("label", { for: `${id}-${index}` }, readableName(key)), control, el("p", { class: "problem", role: "alert", hidden: true }));
    return { key, isText, control, field };
  });
  const form = el("form", {}, rows.map(({ field }) => field), el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, SEND.edit)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const edited = {};
    for (const { key, isText, control, field } of rows) {
      showProblem(field, "");
      try {
        edited[key] = isText ? control.value : JSON.parse(control.value);
      } catch (error) {
        showProblem(field, `Not valid JSON: ${error.message}`);
        control.focus();
        return;
      }
    }
    decide({ type: "edit", edited_action: { name, args: edited } });
  });
  return form;
}

function textForm(kind, id, decide) {
  const text = el("textarea", { id: `${id}-text`, rows: 2 });
  const form = el("form", {}, el("div", { class: "field" }, el("label", { for: `${id}-text` }, kind === "reject" ? "Why (may stay empty)" : "Your response"), text),
    el("div", { class: "actions" }, el("button", { type: "submit", class: kind === "reject" ? "danger" : "primary" }, SEND[kind])));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const message = text.value.trim();
    decide(message ? { type: kind, message } : { type: kind });
  });
  return form;
}

function answerForm(value, submit, id, several) {
  const text = el("textarea", { id: `${id}-text`, rows: 3 });
  const asJson = el("input", { type: "checkbox", id: `${id}-json` });
  const field = el("div", { class: "field" }, el("label", { for: `${id}-text` }, "Your answer"), text, el("p", { class: "problem", role: "alert", hidden: true }),
    el("label", { class: "check", for: `${id}-json` }, asJson, "The answer is JSON (a number, true or false, an object, …)"));
  const form = el("form", {}, rendered(value), field, el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, several ? "Save this answer" : "Send the answer")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showProblem(field, "");
    try {
      const answer = asJson.checked ? JSON.parse(text.value) : text.value;
      lock(form);
      submit(answer);
    } catch (error) {
      showProblem(field, `Not valid JSON: ${error.message}`);
      text.focus();
    }
  });
  return form;
}

function lock(container) {
  for (const control of container.querySelectorAll("button, input, textarea")) control.disabled = true;
}

export function unlock(container) {
  for (const control of container.querySelectorAll("button, input, textarea")) control.disabled = false;
}
