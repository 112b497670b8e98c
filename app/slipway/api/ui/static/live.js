// Follows the events of a run. The browser reconnects by itself with the last id that it received. When it stops trying
// (the server returned an error while it restarted), a new stream is opened after that id. No event is passed on twice.

const AGAIN_MS = 1500;
const HIDDEN_MS = 30_000;

export class Live {
  constructor(url, { onEvent, onState, isGone }) {
    this.url = url;
    this.onEvent = onEvent;
    this.onState = onState;
    this.isGone = isGone;
    this.last = "";
    this.done = false;
    this.open();
    document.addEventListener("visibilitychange", () => this.seen(!document.hidden));
  }

  // A browser opens few connections to one server: a hidden tab closes its connection after a while.
  seen(visible) {
    clearTimeout(this.leaving);
    if (this.done) return;
    if (!visible) this.leaving = setTimeout(() => this.source.close(), HIDDEN_MS);
    else if (this.source.readyState === EventSource.CLOSED) this.open();
  }

  open() {
    const source = new EventSource(this.last ? `${this.url}?after=${this.last}` : this.url);
    this.source = source;
    source.onopen = () => this.onState("open");
    source.onmessage = (message) => this.take(message);
    source.onerror = () => this.lost(source);
  }

  take(message) {
    if (this.done || (message.lastEventId && !isAfter(message.lastEventId, this.last))) return;
    const { event, data, result } = JSON.parse(message.data);
    if (message.lastEventId && event !== "gap") this.last = message.lastEventId;
    this.onEvent({ name: event, data, result, id: message.lastEventId });
    if (event === "end" || event === "gone") this.close();
  }

  async lost(source) {
    if (this.done) return;
    this.onState("lost");
    if (source.readyState !== EventSource.CLOSED) return;
    if (await this.isGone()) return this.close();
    setTimeout(() => this.done || document.hidden || this.source !== source || this.open(), AGAIN_MS);
  }

  close() {
    this.done = true;
    this.source.close();
    this.onState("over");
  }
}

const numbers = (id) => id.split("-").map(Number);

export function isAfter(id, last) {
  if (!last) return true;
  const [ms, nth] = numbers(id);
  const [lastMs, lastNth] = numbers(last);
  return ms > lastMs || (ms === lastMs && nth > lastNth);
}

// The time of an event in milliseconds: its id contains the clock of the server.
export const madeAt = (id) => numbers(id)[0];
