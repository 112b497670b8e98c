// What a paused run asks, and the controls to answer it.

import { el, problem, words } from "./dom.js";
import { facts, shown } from "./values.js";

const DECISIONS = ["approve", "edit", "reject", "respond"];
const LABEL = { approve: "Approve", edit: "Edit", reject: "Reject", respond: "Respond" };
const SEND = { edit: "Send the edited version", reject: "Send the rejection", respond: "Send the response" };

// Shows every interrupt. `answer` is called with {interrupt id: value} once all are answered.
export function ask(place, interrupts, answer) {
  const answers = {};
  const keep = (id) => (value) => {
    answers[id] = value;
    if (interrupts.every((each) => each.id in answers)) return answer(answers);
    return undefined;
  };
  place.replaceChildren(...interrupts.map(({ id, value }, index) => {
    const many = interrupts.length > 1;
    const requests = requestsOf(value);
    const inner = requests ? decisions(requests, keep(id), `q${index}`, many) : question(value, keep(id), `q${index}`, many);
    return el("div", { class: "question", "data-interrupt": id }, inner);
  }));
}

// [{name, args, description, allowed}] when the value has the shape of approval cards, else null.
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

function decisions(requests, done, id, many) {
  const made = requests.map(() => null);
  const alone = requests.length === 1;
  const send = el("button", { type: "button", class: "primary", disabled: true, onclick: () => finish() }, many ? "Keep these decisions" : "Send the decisions");
  const finish = () => { lock(box); return done({ decisions: made }); };
  const cards = requests.map((request, index) => card(request, `${id}-${index}`, alone, (decision) => {
    made[index] = decision;
    if (alone) finish();
    else send.disabled = !made.every(Boolean);
  }));
  const box = el("div", {}, cards, alone ? null : el("div", { class: "actions" }, send));
  return box;
}

function card({ name, args, description, allowed }, id, alone, decide) {
  const more = el("div", { class: "more" });
  const buttons = allowed.map((kind) => el("button", { type: "button", "data-decision": kind, class: kind === "approve" ? "primary" : "", "aria-pressed": "false", onclick: () => pick(kind) }, LABEL[kind]));
  const pick = (kind) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.decision === kind));
    more.replaceChildren();
    if (kind === "approve") return decide({ type: "approve" });
    more.append(kind === "edit" ? editor(name, args, id, decide) : remark(kind, id, decide));
    return more.querySelector("input, textarea").focus();
  };
  return el("section", { class: "action", "aria-label": words(name) }, el("h3", {}, words(name)),
    typeof description === "string" ? el("p", { class: "plain" }, description) : null,
    el("details", { open: typeof description !== "string" }, el("summary", {}, "Details"), facts(args)),
    el("div", { class: "actions" }, buttons), more);
}

// One input an argument; what is no text is written as JSON.
function editor(name, args, id, decide) {
  const rows = Object.entries(args).map(([key, value], index) => {
    const plain = typeof value === "string";
    const text = plain ? value : JSON.stringify(value);
    const tall = text.length > 60 || text.includes("\n");
    const control = el(tall ? "textarea" : "input", { id: `${id}-${index}`, ...(tall ? { rows: 4 } : { type: "text", value: text }), class: plain ? "" : "code" });
    if (tall) control.value = text;
    const field = el("div", { class: "field" }, el("label", { for: `${id}-${index}` }, words(key)), control, el("p", { class: "problem", role: "alert", hidden: true }));
    return { key, plain, control, field };
  });
  const form = el("form", {}, rows.map(({ field }) => field), el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, SEND.edit)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const edited = {};
    for (const { key, plain, control, field } of rows) {
      problem(field, "");
      try {
        edited[key] = plain ? control.value : JSON.parse(control.value);
      } catch (error) {
        problem(field, `Not valid JSON: ${error.message}`);
        control.focus();
        return;
      }
    }
    decide({ type: "edit", edited_action: { name, args: edited } });
  });
  return form;
}

function remark(kind, id, decide) {
  const text = el("textarea", { id: `${id}-remark`, rows: 2 });
  const form = el("form", {}, el("div", { class: "field" }, el("label", { for: `${id}-remark` }, kind === "reject" ? "Why (may stay empty)" : "Your response"), text),
    el("div", { class: "actions" }, el("button", { type: "submit", class: kind === "reject" ? "danger" : "primary" }, SEND[kind])));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const message = text.value.trim();
    decide(message ? { type: kind, message } : { type: kind });
  });
  return form;
}

function question(value, done, id, many) {
  const text = el("textarea", { id: `${id}-text`, rows: 3 });
  const asJson = el("input", { type: "checkbox", id: `${id}-json` });
  const field = el("div", { class: "field" }, el("label", { for: `${id}-text` }, "Your answer"), text, el("p", { class: "problem", role: "alert", hidden: true }),
    el("label", { class: "check", for: `${id}-json` }, asJson, "The answer is JSON (a number, true or false, an object, …)"));
  const form = el("form", {}, shown(value), field, el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, many ? "Keep this answer" : "Send the answer")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    problem(field, "");
    try {
      const answer = asJson.checked ? JSON.parse(text.value) : text.value;
      lock(form);
      done(answer);
    } catch (error) {
      problem(field, `Not valid JSON: ${error.message}`);
      text.focus();
    }
  });
  return form;
}

function lock(box) {
  for (const control of box.querySelectorAll("button, input, textarea")) control.disabled = true;
}

export function unlock(box) {
  for (const control of box.querySelectorAll("button, input, textarea")) control.disabled = false;
}
