// Keeps the recent runs recent, without moving what somebody is about to press.

import { byId } from "./dom.js";

const EVERY_MS = 4000;

async function refresh() {
  const old = byId("recent");
  if (document.hidden || old.contains(document.activeElement) || old.matches(":hover")) return;
  try {
    const answer = await fetch("/ui/recent");
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("recent");
    if (fresh && fresh.innerHTML !== old.innerHTML) old.replaceWith(document.adoptNode(fresh));
  } catch {
    // The server is away; the next turn asks again.
  }
}

setInterval(refresh, EVERY_MS);
