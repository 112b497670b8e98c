// What the tests share: a client of the line that SDK names, a server at URL, and ways to read a stream.

export const { Client } = await import(process.env.SDK);

export const line = process.env.LINE;
export const url = process.env.URL_OF_SLIPWAY;
export const client = new Client({ apiUrl: url, apiKey: null });

export async function newThread(payload) {
  return (await client.threads.create(payload)).thread_id;
}

export async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export function names(parts) {
  return parts.map((part) => part.event);
}

export function dataOf(parts, event) {
  return parts.filter((part) => part.event === event).map((part) => part.data);
}

export async function until(isSo, withinMs = 20_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await isSo();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function held(thread) {
  const run = await client.runs.create(thread, "hold", { input: {} });
  await until(async () => (await client.threads.getState(thread)).next.includes("wait"));
  return run.run_id;
}

export function openGate(gate) {
  return client.store.putItem(["gates"], gate, { open: true });
}
