// The panel that says what a run waits for, since when, and who can act.

import { byId, el, readableName, setText, show } from "./dom.js";
import { durationText, serverNow } from "./times.js";

let drawn = "";

// `why` is the response of GET /ops/runs/RUN/why, or null.
export function drawWhy(why) {
  show(byId("why"), Boolean(why));
  if (!why) return;
  setText(byId("why-summary"), why.summary);
  setText(byId("why-since"), durationText((serverNow() - Date.parse(why.since)) / 1000));
  const key = JSON.stringify([why.notes, why.acts, why.detail]);
  if (key === drawn) return;
  drawn = key;
  byId("why-body").replaceChildren(...why.notes.map((note) => el("p", {}, note)), facts(why.detail), acts(why.acts));
}

function facts(detail) {
  const shown = Object.entries(detail).filter(([, value]) => value !== null && !(typeof value === "object" && !Object.keys(value).length));
  return el("details", {}, el("summary", {}, "Details"), el("dl", { class: "facts" }, shown.map(([name, value]) => [el("dt", {}, readableName(name)), el("dd", {}, valueText(value))])));
}

function valueText(value) {
  if (Array.isArray(value)) return value.map(valueText).join("; ");
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value).filter(([, each]) => each !== null && !(Array.isArray(each) && !each.length)).map(([name, each]) => `${readableName(name)} ${valueText(each)}`).join(", ");
}

function acts(list) {
  return el("details", {}, el("summary", {}, "Who can act"), el("ul", { class: "items" }, list.map((act) => el("li", {},
    el("span", {}, `${act.who}: ${act.what}`),
    act.command && el("pre", {}, act.command),
    act.route && el("pre", {}, act.route),
    act.permission && el("p", { class: "dim" }, `The route needs ${act.permission}.`)))));
}
