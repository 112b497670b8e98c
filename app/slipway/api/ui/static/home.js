// Reloads the list of recent runs. It does not change while it has the focus or while the pointer moves over it, so that
// a link does not move away from the pointer.

import { base } from "./api.js";
import { byId } from "./dom.js";

const RELOAD_INTERVAL_MS = 4000;
const POINTER_IDLE_MS = 5000; // a pointer that has not moved for this time does not prevent a reload
let pointerMovedAt = 0;

async function refresh() {
  const old = byId("recent");
  if (document.hidden || old.contains(document.activeElement) || (old.matches(":hover") && Date.now() - pointerMovedAt < POINTER_IDLE_MS)) return;
  try {
    const response = await fetch(`${base}/ui/recent`);
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("recent");
    if (fresh && fresh.innerHTML !== old.innerHTML) old.replaceWith(document.adoptNode(fresh));
  } catch {
    // The server cannot be reached. The next interval sends the request again.
  }
}

document.addEventListener("pointermove", () => { pointerMovedAt = Date.now(); });
setInterval(refresh, RELOAD_INTERVAL_MS);
