// One review: what is asked, where it stands, and the controls to decide it. The page of a run and the review desk share
// it, and both decide by the same route.

import { RequestFailed, base, call } from "./api.js";
import { el, setText, show } from "./dom.js";
import { decisionWords, questionForm, showFieldProblem, shownDecisions, shownQuestion } from "./question.js";
import { agoText, untilText } from "./times.js";

const UNDECIDED = new Set(["open", "claimed"]);
const REFUSING = new Set(["reject", "respond", "ignore"]); // nothing is executed after these
let cards = 0;

export const reviewPath = (review) => `/ops/reviews/${encodeURIComponent(review.review_id)}`;
export const reviewPage = (review) => `${base}/ui/reviews/${encodeURIComponent(review.review_id)}`;
export const isUndecided = (review) => UNDECIDED.has(review.state);

// `viewer` is {identity, refusal, only_rejects}: who looks at the page, and why this person may not decide the review, or
// may decide only that nothing is executed; else "". `changed` is called when the server has stored a decision, or has
// refused it because the review has changed. A card that is `linked` has a link to the page of its review.
export class ReviewCard {
  constructor(container, changed, { linked = false } = {}) {
    this.changed = changed;
    this.linked = linked;
    this.id = `review-${cards++}`;
    this.status = el("div", { class: "review-status", "aria-live": "polite" });
    this.body = el("div", {});
    this.error = el("p", { class: "problem", role: "alert", tabindex: "-1", hidden: true });
    container.append(el("div", { class: "interrupt" }, this.status, this.body, this.error));
    this.element = container.lastElementChild;
    this.shown = "";
    this.shownStatus = "";
  }

  // Draws the review. A form in which a person is typing stays as it is while its question can be decided.
  show({ review, viewer, is_exact: isExact }) {
    this.review = review;
    this.element.dataset.interrupt = review.interrupt_id;
    const status = JSON.stringify([review, viewer]);
    if (status !== this.shownStatus) this.status.replaceChildren(...statusLines(review, viewer, isExact), this.linked && !viewer.outsider ? el("p", {}, el("a", { href: reviewPage(review) }, "Claim it, or write to the other reviewers")) : "");
    this.shownStatus = status;
    const question = permitted(review.question, viewer, isExact);
    const decidable = isUndecided(review) && !viewer.refusal && question !== null;
    const key = JSON.stringify([review.review_id, decidable, viewer.only_rejects, decidable ? null : review.decision]);
    if (key === this.shown) return;
    this.shown = key;
    if (decidable) this.body.replaceChildren(questionForm(question, this.id, (decisions) => this.decide(decisions)));
    else this.body.replaceChildren(shownQuestion(review.question), ...outcome(review));
  }

  async decide(decisions) {
    this.report("");
    for (const problem of this.body.querySelectorAll(".problem:not([hidden])")) show(problem, false);
    this.lock(true);
    try {
      await call("POST", `${reviewPath(this.review)}/decide`, { decisions });
      this.shown = ""; // a vote leaves the review undecided: then the form is empty again
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      this.lock(false);
      const message = error.message.replace(`review ${this.review.review_id}`, "This review");
      if (error.status !== 422 || !showFieldProblem(this.body, error.field, message)) this.report(message);
      if (error.status === 422) return;
    }
    await this.changed();
    this.lock(false);
  }

  report(message) {
    setText(this.error, message);
    show(this.error, Boolean(message));
    if (message) this.error.focus();
  }

  lock(locked) {
    for (const control of this.body.querySelectorAll("button, input, textarea, select")) {
      if (locked) control.dataset.locked = String(control.disabled);
      else if (!("locked" in control.dataset)) continue;
      control.disabled = locked || control.dataset.locked === "true";
      if (!locked) delete control.dataset.locked;
    }
  }
}

// The question with the decisions that the viewer may make on this page. null if there are none.
function permitted(question, viewer, isExact) {
  if (question.shape === "free") return viewer.only_rejects ? null : question;
  const isPermitted = (kind) => (REFUSING.has(kind) || !viewer.only_rejects) && (kind !== "edit" || isExact);
  return { ...question, actions: question.actions.map((action) => ({ ...action, allowed_decisions: action.allowed_decisions.filter(isPermitted) })) };
}

// Where the review stands, and what its policy demands: one sentence each.
function statusLines(review, viewer, isExact) {
  const { policy } = review;
  const lines = [stateText(review, viewer)];
  if (isUndecided(review)) {
    if (review.due_at) lines.push(["Due ", el("time", { datetime: review.due_at, title: review.due_at, "data-until": true }, untilText(review.due_at)), `. Then: ${defaultText(policy.default)}.`]);
    if (policy.quorum > 1) lines.push(`${policy.quorum} people must give the same answer. ${votesText(review.votes)}`);
    if (review.groups.length) lines.push(`For members of ${review.groups.join(", ")}.`);
    if (policy.four_eyes) lines.push(`A second person must decide: not ${[review.started_by, review.edited_by].filter(Boolean).join(" or ") || "whoever started the run"}.`);
    const refusal = viewer.refusal || viewer.only_rejects;
    if (!isExact) lines.push("A number is too large for a browser to repeat it exactly, so the arguments cannot be edited here.");
    if (refusal) lines.push(el("span", { class: "refusal" }, refusal));
  }
  if (review.schema_fault) lines.push(review.schema_fault);
  return lines.map((line) => el("p", {}, line));
}

function stateText({ state, assignee, created_at, decision, reason }, viewer) {
  const asked = el("time", { datetime: created_at, title: created_at, "data-ago": true }, agoText(created_at));
  switch (state) {
    case "open": return ["Asked ", asked, ". Nobody works on it."];
    case "claimed": return ["Asked ", asked, `. ${assignee === viewer.identity ? "You work on it." : `${assignee} works on it.`}`];
    case "held": return [...decidedText(decision), " The run continues when all of its questions are answered."];
    case "decided": return decidedText(decision);
    case "expired": return ["Nobody decided it in time. ", ...decidedText(decision)];
    default: return `Nobody can answer it any more: ${reason ?? "its run waits no more"}.`;
  }
}

const decidedText = (decision) => (decision ? [`${decision.by.join(" and ")}: ${decisionWords(decision.decisions)} `, el("time", { datetime: decision.at, title: decision.at, "data-ago": true }, agoText(decision.at)), "."] : ["Answered."]);
const votesText = (votes) => (votes.length ? `Until now: ${votes.map(({ by, decisions }) => `${by} (${decisionWords(decisions)})`).join(", ")}.` : "Nobody has decided yet.");

function defaultText(action) {
  if (!action) return "it is rejected";
  if (typeof action === "string") return { approve: "it is approved", reject: "it is rejected", ignore: "it is ignored", cancel: "the run is cancelled" }[action] ?? action;
  return "it is answered with a default";
}

const outcome = (review) => (review.decision ? [el("h3", {}, "Decision"), ...shownDecisions(review.question, review.decision.decisions)] : []);
