// Shared by the tests: a client of the version CLIENT_VERSION for the server at SLIPWAY_URL, and helpers for streams.

export const { Client } = await import(process.env.CLIENT_PACKAGE);

export const version = process.env.CLIENT_VERSION;
export const url = process.env.SLIPWAY_URL;
export const client = new Client({ apiUrl: url, apiKey: null });

export async function newThread(payload) {
  return (await client.threads.create(payload)).thread_id;
}

export async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export function eventNames(parts) {
  return parts.map((part) => part.event);
}

export function dataOf(parts, event) {
  return parts.filter((part) => part.event === event).map((part) => part.data);
}

export async function waitUntil(condition, withinMs = 20_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`not true within ${withinMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function startHold(thread) {
  const run = await client.runs.create(thread, "hold", { input: {} });
  await waitUntil(async () => (await client.threads.getState(thread)).next.includes("wait"));
  return run.run_id;
}

export function openGate(gate) {
  return client.store.putItem(["gates"], gate, { open: true });
}
