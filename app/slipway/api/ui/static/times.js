// Times as words, on the clock of the server.

let clockOffsetMs = 0;

// `serverTime` is the time of the server now, as ISO 8601.
export function setServerTime(serverTime) {
  clockOffsetMs = Date.parse(serverTime) - Date.now();
}

// The time of the server in ms since the epoch.
export const serverNow = () => Date.now() + clockOffsetMs;

const secondsUntil = (time) => (Date.parse(time) - serverNow()) / 1000;

export function durationText(seconds) {
  for (const [unit, size] of [["d", 86_400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

export const agoText = (time) => `${durationText(-secondsUntil(time))} ago`;

export function untilText(time) {
  const seconds = secondsUntil(time);
  return seconds > 0 ? `in ${durationText(seconds)}` : `${durationText(-seconds)} ago`;
}

// Writes all times of the page again that have `data-ago` or `data-until`.
export function drawTimes() {
  for (const node of document.querySelectorAll("time[data-ago]")) node.textContent = agoText(node.dateTime);
  for (const node of document.querySelectorAll("time[data-until]")) node.textContent = untilText(node.dateTime);
}

export function keepTimesCurrent() {
  drawTimes();
  setTimeout(keepTimesCurrent, 5000);
}
