// Follows the events of a run. The browser reconnects by itself with the last event id that it received. After an error
// response (while the server restarts) it does not reconnect: then a new stream is opened that continues after this id.
// Each event is passed on once.

const REOPEN_DELAY_MS = 1500;
const CLOSE_HIDDEN_AFTER_MS = 30_000;

export class RunEvents {
  constructor(url, { onEvent, onState, wasDeleted }) {
    this.url = url;
    this.onEvent = onEvent;
    this.onState = onState;
    this.wasDeleted = wasDeleted;
    this.lastId = "";
    this.done = false;
    this.open();
    document.addEventListener("visibilitychange", () => this.onVisibilityChange(!document.hidden));
  }

  // A browser limits its connections to one server, so a hidden tab closes its connection after some time.
  onVisibilityChange(visible) {
    clearTimeout(this.closeTimer);
    if (this.done) return;
    if (!visible) this.closeTimer = setTimeout(() => this.source.close(), CLOSE_HIDDEN_AFTER_MS);
    else if (this.source.readyState === EventSource.CLOSED) this.open();
  }

  open() {
    const source = new EventSource(this.lastId ? `${this.url}?after=${this.lastId}` : this.url);
    this.source = source;
    source.onopen = () => this.onState("open");
    source.onmessage = (message) => this.onMessage(message);
    source.onerror = () => this.onError(source);
  }

  onMessage(message) {
    if (this.done || (message.lastEventId && !isAfter(message.lastEventId, this.lastId))) return;
    const { event, data, result } = JSON.parse(message.data);
    if (message.lastEventId && event !== "gap") this.lastId = message.lastEventId;
    this.onEvent({ name: event, data, result, id: message.lastEventId });
    if (event === "end" || event === "deleted") this.close();
  }

  async onError(source) {
    if (this.done) return;
    this.onState("lost");
    if (source.readyState !== EventSource.CLOSED) return;
    if (await this.wasDeleted()) return this.close();
    setTimeout(() => this.done || document.hidden || this.source !== source || this.open(), REOPEN_DELAY_MS);
  }

  close() {
    this.done = true;
    this.source.close();
    this.onState("closed");
  }
}

const numbers = (id) => id.split("-").map(Number);

export function isAfter(id, last) {
  if (!last) return true;
  const [ms, sequence] = numbers(id);
  const [lastMs, lastSequence] = numbers(last);
  return ms > lastMs || (ms === lastMs && sequence > lastSequence);
}

// The time of an event in ms since the epoch. Its id contains this time, by the clock of the server.
export const timeOfEvent = (id) => numbers(id)[0];
