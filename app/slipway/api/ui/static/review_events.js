// Reports that reviews have changed. The server sends only their ids. Its first message on each connection has none,
// because any review may have changed before.

import { base } from "./api.js";

const REOPEN_DELAY_MS = 1500;
const COLLECT_MS = 60; // several changes at once are reported once
const CLOSE_HIDDEN_AFTER_MS = 30_000;

// Calls `changed` with the set of the ids that have changed, or with null if any review may have changed.
export function followReviews(changed) {
  let source = null;
  let timer = 0;
  let closeTimer = 0;
  let ids = new Set();

  const report = () => {
    timer = 0;
    const collected = ids;
    ids = new Set();
    changed(collected);
  };
  const add = (id) => {
    if (id === null || ids === null) ids = null;
    else ids.add(id);
    timer ||= setTimeout(report, COLLECT_MS);
  };
  const open = () => {
    const opened = new EventSource(`${base}/ui/reviews/events`);
    source = opened;
    opened.onmessage = (message) => add(JSON.parse(message.data).review_id);
    opened.onerror = () => {
      if (opened.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || source !== opened || open(), REOPEN_DELAY_MS);
    };
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(closeTimer);
    if (document.hidden) closeTimer = setTimeout(() => source.close(), CLOSE_HIDDEN_AFTER_MS);
    else if (source.readyState === EventSource.CLOSED) open();
  });
  open();
}
