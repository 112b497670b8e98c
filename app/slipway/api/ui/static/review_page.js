// The page of one review: what is asked and decided, who works on it, and its history. It changes when another person
// does something.

import { RequestFailed, base, call, runPage } from "./api.js";
import { byId, el, pageData, setText, show } from "./dom.js";
import { chooseByKey, shownDecisions } from "./question.js";
import { ReviewCard, isUndecided, reviewPage, reviewPath } from "./review.js";
import { followReviews } from "./review_events.js";
import { useShortcuts } from "./shortcuts.js";
import { agoText, keepTimesCurrent, setServerTime } from "./times.js";

let page = pageData();
const card = new ReviewCard(byId("card"), refresh);

// The call of a tool does not change its review. So its end is looked for, for some time after the decision.
const CALL_CHECK_MS = 1500;
const MOST_CALL_CHECKS = 40;
let callChecks = 0;

let refreshing = null;
let stale = false;

// Loads the review again. A call while it is loading loads it once more, because what it returns may be older.
function refresh() {
  if (refreshing) {
    stale = true;
    return refreshing;
  }
  refreshing = (async () => {
    do {
      stale = false;
      try {
        page = await call("GET", `${reviewPage(page.review).slice(base.length)}/now`);
      } catch (error) {
        if (!(error instanceof RequestFailed)) throw error;
        if (error.status === 404) return showGone();
      }
    } while (stale);
    draw();
    return undefined;
  })().finally(() => { refreshing = null; });
  return refreshing;
}

function showGone() {
  setText(byId("gone"), "This review is deleted, with its run.");
  show(byId("gone"), true);
  show(byId("work"), false);
}

function draw() {
  const { review, viewer } = page;
  setServerTime(page.server_time);
  card.show(page);
  const pill = byId("state");
  pill.className = `pill review-${review.state}`;
  setText(pill, page.state_text);
  document.title = `${page.title}: ${page.state_text} · Slipway`;
  const undecided = isUndecided(review);
  byId("question").classList.toggle("review", undecided);
  show(byId("work"), undecided);
  const mine = review.assignee !== null && review.assignee === viewer.identity;
  show(byId("claim"), undecided && review.assignee === null && !viewer.outsider);
  show(byId("release"), undecided && mine);
  show(byId("take-over"), undecided && review.assignee !== null && !mine && !viewer.outsider);
  setText(byId("take-over"), `Take it over from ${review.assignee}`);
  setText(byId("assignee"), review.assignee ?? "nobody");
  show(byId("next-run"), Boolean(review.resumed_by));
  if (review.resumed_by) byId("next-run-link").href = runPage({ thread_id: review.thread_id, run_id: review.resumed_by });
  byId("history").replaceChildren(...page.history.map(historyLine));
  if (page.awaits_call && callChecks++ < MOST_CALL_CHECKS) setTimeout(refresh, CALL_CHECK_MS);
}

const WORDS = {
  "review.opened": () => "The question was asked",
  "review.claimed": () => "claimed it",
  "review.released": () => "released it",
  "review.reassigned": ({ assignee }) => `assigned it to ${assignee}`,
  "review.commented": () => "commented",
  "review.information_requested": () => "asked for information",
  "review.follow_up": () => "It is time to look for the information",
  "review.reminded": ({ reminder }) => `Reminder ${reminder ?? ""}`,
  "review.escalated": ({ groups }) => `Escalated: for members of ${(groups ?? []).join(", ")}`,
  "review.voted": ({ agree, quorum }) => `voted (${agree} of ${quorum})`,
  "review.decided": () => "decided",
  "review.expired": () => "Nobody decided it in time",
  "review.superseded": () => "Nobody can answer it any more",
  "tool.permitted": ({ tool }) => `A grant permits the call of ${tool}`,
  "tool.approved": ({ tool }) => `approved the call of ${tool}`,
  "tool.rejected": ({ tool }) => `${tool} was not called`,
  "tool.denied": ({ tool }) => `No grant permits the call of ${tool}`,
  "tool.called": ({ tool }) => `${tool} was called`,
  "tool.failed": ({ tool }) => `${tool} failed`,
};

function historyLine({ action, actor, at, details }) {
  const words = WORDS[action]?.(details) ?? action;
  const text = details.text ?? details.reason;
  return el("li", { "data-action": action },
    el("p", {}, actor === "slipway" ? "" : el("strong", {}, actor, " "), words, " ", el("time", { class: "dim", datetime: at, title: at, "data-ago": true }, agoText(at))),
    typeof text === "string" && text ? el("p", { class: "plain" }, text) : null,
    Array.isArray(details.decisions) && action !== "review.opened" ? shownDecisions(page.review.question, details.decisions) : null);
}

// what people do beside deciding

async function send(action, body = {}) {
  show(byId("work-error"), false);
  try {
    await call("POST", `${reviewPath(page.review)}/${action}`, body);
    return true;
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error;
    setText(byId("work-error"), error.message);
    show(byId("work-error"), true);
    return false;
  } finally {
    await refresh();
  }
}

byId("claim").addEventListener("click", () => send("claim"));
byId("release").addEventListener("click", () => send("release"));
byId("take-over").addEventListener("click", () => send("reassign", { assignee: page.viewer.identity }));
byId("remind").addEventListener("click", () => send("remind"));
byId("reassign").addEventListener("submit", async (event) => {
  event.preventDefault();
  const assignee = byId("reassign-to").value.trim();
  if (assignee && await send("reassign", { assignee })) event.target.reset();
});
byId("talk").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = byId("talk-text").value.trim();
  if (text && await send(event.submitter?.value ?? "comment", { text })) event.target.reset();
});
byId("talk").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("talk").requestSubmit(byId("talk-comment"));
});

const choose = (key) => () => chooseByKey(byId("card"), key);
const click = (...ids) => () => {
  const button = ids.map(byId).find((each) => !each.hidden && each.offsetParent);
  if (!button) return false;
  button.click();
  return true;
};
useShortcuts(
  {
    ...Object.fromEntries(["a", "e", "r", "s", "i"].map((key) => [key, choose(key)])),
    c: click("claim", "release"),
    m: () => byId("talk-text").focus(),
    u: () => location.assign(`${base}/ui/reviews`),
  },
  [["a e r s i", "approve, edit, reject, respond, ignore: chooses, and Enter sends"], ["c", "claim or release it"], ["m", "write a comment"], ["u", "back to the list"]],
);
draw();
keepTimesCurrent();
followReviews((ids) => (ids === null || ids.has(page.review.review_id)) && refresh());
