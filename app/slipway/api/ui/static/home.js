// Reloads the recent runs, but not while somebody is about to press something in them.

import { base } from "./api.js";
import { byId } from "./dom.js";

const EVERY_MS = 4000;
const STILL_MS = 5000;
let moved = 0;

async function refresh() {
  const old = byId("recent");
  if (document.hidden || old.contains(document.activeElement) || (old.matches(":hover") && Date.now() - moved < STILL_MS)) return;
  try {
    const answer = await fetch(`${base}/ui/recent`);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("recent");
    if (fresh && fresh.innerHTML !== old.innerHTML) old.replaceWith(document.adoptNode(fresh));
  } catch {
    // The server is not reachable; the next interval requests it again.
  }
}

document.addEventListener("pointermove", () => { moved = Date.now(); });
setInterval(refresh, EVERY_MS);
