// The question of a review, with the controls for its decisions. Nothing is sent here.
//
// A decision of the API is {kind, name, args, message, value}, with the members of its kind. The API names the field of
// an invalid decision, such as `decisions[0].args.amount`: controls have this name as `data-path`.

import { changesTable } from "./changes.js";
import { el, readableName, showProblem } from "./dom.js";
import { hasKeys } from "./shortcuts.js";
import { facts, json, rendered } from "./values.js";

const KINDS = {
  approve: { label: "Approve", key: "a", done: "approved" },
  edit: { label: "Edit", key: "e", done: "edited", send: "Send the edited version" },
  reject: { label: "Reject", key: "r", done: "rejected", send: "Send the rejection", text: "Why (may stay empty)" },
  respond: { label: "Respond", key: "s", done: "answered", send: "Send the response", text: "Your response" },
  ignore: { label: "Ignore", key: "i", done: "ignored" },
  answer: { label: "Answer", key: "", done: "answered" },
};

// The elements of a question. Calls `submit` with the decisions when there is one for each action. `id` begins the ids
// of all controls.
export function questionForm(question, id, submit) {
  return question.shape === "free" ? answerForm(question, id, (decision) => submit([decision])) : actionsForm(question.actions, id, submit);
}

function actionsForm(actions, id, submit) {
  const decisions = actions.map(() => null);
  const send = el("button", { type: "button", class: "primary", disabled: true, onclick: () => submit(decisions) }, "Send the decisions");
  const cards = actions.map((action, index) => actionCard(action, `${id}-${index}`, index, (decision) => {
    decisions[index] = decision;
    send.disabled = !decisions.every(Boolean);
    if (actions.length === 1 && decision) submit(decisions);
  }));
  return el("div", {}, cards, actions.length === 1 ? null : el("div", { class: "actions" }, send));
}

// `decide` gets null while a decision that needs more is chosen but not complete.
function actionCard(action, id, index, decide) {
  const form = el("div", { class: "decision-form" });
  const buttons = action.allowed_decisions.map((kind) => el("button", {
    type: "button", "data-decision": kind, class: kind === "approve" ? "primary" : "", "aria-pressed": "false", "aria-keyshortcuts": hasKeys() && KINDS[kind].key, onclick: () => choose(kind),
  }, KINDS[kind].label, hasKeys() ? el("kbd", { "aria-hidden": "true" }, KINDS[kind].key) : null));
  const choose = (kind) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.decision === kind));
    form.replaceChildren();
    if (kind === "edit") form.append(editForm(action, id, index, decide));
    else if (KINDS[kind].text) form.append(textForm(kind, id, index, decide));
    else return decide({ kind });
    decide(null);
    return form.querySelector("input, textarea, select").focus();
  };
  return el("section", { class: "action", "aria-label": readableName(action.name), "data-path": `decisions[${index}]` }, shownAction(action),
    el("div", { class: "actions" }, buttons), form, el("p", { class: "problem", role: "alert", hidden: true }));
}

// What is asked about one action: its name, description and arguments.
export function shownAction({ name, args, description }) {
  return [el("h3", {}, readableName(name)),
    description ? el("p", { class: "plain" }, description) : null,
    el("details", { class: "args", open: true }, el("summary", {}, "Arguments"), Object.keys(args).length ? facts(args) : el("p", { class: "dim" }, "none"))];
}

// One control for each argument, the changes below, and another action instead.
function editForm({ name, args }, id, index, decide) {
  const path = `decisions[${index}]`;
  const rows = Object.entries(args).map(([argument, value], row) => argumentRow(argument, value, `${id}-arg-${row}`, `${path}.args.${argument}`));
  const other = el("input", { type: "text", id: `${id}-name`, value: name, class: "code", autocomplete: "off", spellcheck: "false" });
  const preview = el("div", { "aria-live": "polite" });
  const form = el("form", { novalidate: true },
    el("div", { "data-path": `${path}.args` }, rows.map(({ field }) => field), el("p", { class: "problem", role: "alert", hidden: true })),
    el("details", { class: "options" }, el("summary", {}, "Another action instead"),
      el("div", { class: "field", "data-path": `${path}.name` }, el("label", { for: `${id}-name` }, "Action"), other, el("p", { class: "problem", role: "alert", hidden: true }))),
    preview,
    el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, KINDS.edit.send)));
  const draw = () => {
    const edited = valuesOf(rows, () => {});
    if (edited) preview.replaceChildren(changesTable(args, edited));
  };
  form.addEventListener("input", draw);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const edited = valuesOf(rows, (row, problem) => showProblem(row.field, problem));
    if (!edited) return form.querySelector("[aria-invalid=true]").focus();
    const renamed = other.value.trim() && other.value.trim() !== name ? { name: other.value.trim() } : {};
    return decide({ kind: "edit", args: edited, ...renamed });
  });
  draw();
  return form;
}

// A text is edited as text, true and false are chosen, and everything else is edited as JSON.
function argumentRow(argument, value, id, path) {
  const isText = typeof value === "string";
  const text = isText ? value : JSON.stringify(value, null, typeof value === "object" && value ? 2 : 0);
  const control = typeof value === "boolean" ? el("select", { id }, ["true", "false"].map((each) => el("option", { value: each, selected: each === text }, each === "true" ? "yes" : "no")))
    : text.length > 60 || text.includes("\n") ? el("textarea", { id, rows: 4, class: isText ? "" : "code" })
    : el("input", { id, type: "text", autocomplete: "off", class: isText ? "" : "code" });
  if (typeof value !== "boolean") control.value = text;
  const field = el("div", { class: "field", "data-path": path }, el("label", { for: id }, readableName(argument), isText || typeof value === "boolean" ? null : el("span", { class: "dim" }, typeof value === "number" ? "a number" : "JSON")),
    control, el("p", { class: "problem", role: "alert", hidden: true }));
  return { argument, isText, control, field };
}

// {argument: value} of all rows, or null if one is not valid JSON. `report` gets the problem of each row, or "".
function valuesOf(rows, report) {
  let valid = true;
  const entries = rows.map((row) => {
    try {
      const value = row.isText ? row.control.value : JSON.parse(row.control.value);
      report(row, "");
      return [row.argument, value];
    } catch (error) {
      report(row, `Not valid JSON: ${error.message}`);
      valid = false;
      return null;
    }
  });
  return valid ? Object.fromEntries(entries) : null;
}

function textForm(kind, id, index, decide) {
  const text = el("textarea", { id: `${id}-text`, rows: 2 });
  const field = el("div", { class: "field", "data-path": `decisions[${index}].message` }, el("label", { for: `${id}-text` }, KINDS[kind].text), text, el("p", { class: "problem", role: "alert", hidden: true }));
  const form = el("form", { novalidate: true }, field, el("div", { class: "actions" }, el("button", { type: "submit", class: kind === "reject" ? "danger" : "primary" }, KINDS[kind].send)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const message = text.value.trim();
    if (kind === "respond" && !message) {
      showProblem(field, "Write a response first.");
      return text.focus();
    }
    return decide(message ? { kind, message } : { kind });
  });
  return form;
}

function answerForm({ value, response_schema: schema }, id, decide) {
  const text = el("textarea", { id: `${id}-text`, rows: 3 });
  const asJson = el("input", { type: "checkbox", id: `${id}-json`, checked: Boolean(schema) && schema.type !== "string" });
  const field = el("div", { class: "field", "data-path": "decisions[0].value" }, el("label", { for: `${id}-text` }, "Your answer"), text, el("p", { class: "problem", role: "alert", hidden: true }),
    el("label", { class: "check", for: `${id}-json` }, asJson, "The answer is JSON (a number, true or false, an object, …)"));
  const form = el("form", { novalidate: true, "data-path": "decisions[0]" }, rendered(value), field,
    schema ? el("details", { class: "options" }, el("summary", {}, "Schema of the answer"), json(schema)) : null,
    el("div", { class: "actions" }, el("button", { type: "submit", class: "primary" }, "Send the answer")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showProblem(field, "");
    try {
      decide({ kind: "answer", value: asJson.checked ? JSON.parse(text.value) : text.value });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      showProblem(field, `Not valid JSON: ${error.message}`);
      text.focus();
    }
  });
  return form;
}

// Shows the error of an invalid decision at the field that it names, or at the nearest field around that.
export function showFieldProblem(container, field, message) {
  for (let path = field; path; path = path.replace(/[.[]?[^.[]*$/, "")) {
    const control = container.querySelector(`[data-path="${CSS.escape(path)}"]`);
    if (control?.querySelector(":scope > .problem")) {
      control.closest("details")?.setAttribute("open", "");
      showProblem(control, message);
      control.querySelector("input, textarea, select, button")?.focus();
      return true;
    }
  }
  return false;
}

// A question that cannot be answered any more, or not by this person.
export function shownQuestion(question) {
  return question.shape === "free" ? el("div", {}, rendered(question.value)) : el("div", {}, question.actions.map((action) => el("section", { class: "action", "aria-label": readableName(action.name) }, shownAction(action))));
}

// What was decided about each action: in words, with the changes of an edit.
export function shownDecisions(question, decisions) {
  return decisions.map((decision, index) => {
    const action = question.actions[index];
    const name = action && question.actions.length > 1 ? `${readableName(action.name)}: ` : "";
    const details = decision.kind === "edit" ? [decision.name ? el("p", {}, `Another action: ${decision.name}`) : null, changesTable(action?.args ?? {}, decision.args ?? {})]
      : decision.kind === "answer" ? rendered(decision.value)
      : decision.message ? el("p", { class: "plain" }, decision.message) : null;
    return el("div", { class: "decided" }, el("p", { class: "message-text" }, `${name}${KINDS[decision.kind]?.done ?? decision.kind}`), details);
  });
}

export const decisionWords = (decisions) => decisions.map(({ kind }) => KINDS[kind]?.done ?? kind).join(", ");

// Chooses a decision of the first action that has none yet, by its key. Returns whether there was one.
export function chooseByKey(container, key) {
  const actions = [...container.querySelectorAll("section.action")].filter((action) => action.querySelector("button[data-decision]:not(:disabled)"));
  const action = actions.find((each) => each.contains(document.activeElement)) ?? actions.find((each) => !each.querySelector("button[aria-pressed=true]")) ?? actions[0];
  const kind = Object.keys(KINDS).find((each) => KINDS[each].key && KINDS[each].key === key);
  const button = kind && action?.querySelector(`button[data-decision=${kind}]:not(:disabled)`);
  if (!button) return false;
  // A single key never decides: it opens the form of a decision, or moves the focus to its button.
  if (kind === "approve" || kind === "ignore") button.focus();
  else button.click();
  return true;
}
