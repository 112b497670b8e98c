// The list of reviews: loads it again when a review changes, and moves through it by keys.

import { base } from "./api.js";
import { byId } from "./dom.js";
import { followReviews } from "./review_events.js";
import { moveFocus, useShortcuts } from "./shortcuts.js";
import { drawTimes, keepTimesCurrent, setServerTime } from "./times.js";

const list = () => byId("reviews");
const links = () => [...list().querySelectorAll("a.to-review")];
let loading = null;
let stale = false;

async function load() {
  if (loading) {
    stale = true;
    return;
  }
  loading = fetch(`${base}/ui/reviews/list${location.search}`);
  try {
    const response = await loading;
    if (response.ok) replace(await response.text());
  } catch {
    // The server cannot be reached. The list is loaded again when the connection is open again.
  } finally {
    loading = null;
  }
  if (stale) {
    stale = false;
    load();
  }
}

// The row that has the focus keeps it, at its new place.
function replace(html) {
  const old = list();
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("reviews");
  if (!fresh) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(document.adoptNode(fresh));
  drawTimes();
  if (focused) byId(focused)?.focus();
}

byId("filters").addEventListener("change", () => byId("filters").requestSubmit());
useShortcuts(
  { j: () => moveFocus(links(), 1), k: () => moveFocus(links(), -1), "/": () => byId("filters").querySelector("select, input").focus() },
  [["j", "the next review"], ["k", "the review before"], ["Enter", "open it"], ["/", "the filters"]],
);
setServerTime(byId("reviews").dataset.serverTime);
keepTimesCurrent();
followReviews(load);
