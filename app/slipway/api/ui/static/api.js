// Requests to the JSON API, and the stream modes of runs that are started here.

export const STREAM = {
  stream_mode: ["values", "tasks", "messages-tuple", "custom"],
  stream_subgraphs: true,
};

// The prefix of all paths of the server: `http.mount_prefix` of langgraph.json, or empty.
export const base = document.documentElement.dataset.base ?? "";

// The CSRF token of the session, which requests that may change something must have. Empty without a session.
const csrf = document.documentElement.dataset.csrf ?? "";

// A request that the server rejected, or that could not be sent (status 0).
export class RequestFailed extends Error {
  constructor(status, body) {
    super(typeof body?.detail === "string" ? body.detail : `The server responded with status ${status}.`);
    this.status = status;
    this.code = typeof body?.code === "string" ? body.code : "";
    this.field = typeof body?.field === "string" ? body.field : "";
  }
}

export async function call(method, path, body) {
  const options = { method, headers: { accept: "application/json" } };
  if (csrf && method !== "GET") options.headers["x-slipway-csrf"] = csrf;
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(base + path, options);
  } catch {
    throw new RequestFailed(0, { detail: "The server cannot be reached. Try again in a moment." });
  }
  if (response.status === 401 && csrf) location.reload(); // the session has ended: the server shows the form
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    value = null;
  }
  if (!response.ok) throw new RequestFailed(response.status, value);
  return value;
}

export const runPage = (run) => `${base}/ui/threads/${run.thread_id}/runs/${run.run_id}`;

// A version 4 UUID. crypto.randomUUID is missing on pages that are not served from localhost or by TLS.
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
