import assert from "node:assert/strict";
import test from "node:test";

import { client, held, newThread } from "./slipway.js";

const unknown = "01890a5d-ac96-774b-bcce-b302099a8057";

async function refused(asked, status, words) {
  await assert.rejects(asked, (error) => {
    assert.equal(error.status, status);
    assert.match(JSON.parse(error.text).detail, words);
    assert.match(error.message, words);
    return true;
  });
}

test("404 says what is unknown", async () => {
  await refused(client.threads.get(unknown), 404, /thread .*not found/);
  await refused(client.runs.get(await newThread(), unknown), 404, /run .*not found/);
  await refused(client.runs.wait(null, "nobody", { input: {} }), 422, /nobody/);
  await refused(client.assistants.get(unknown), 404, /assistant/);
  await refused(client.crons.delete(unknown), 404, /cron/);
});

test("409 says why", async () => {
  const thread = await newThread();
  await refused(client.threads.create({ threadId: thread }), 409, /exists/);
  const run = await held(thread);
  await refused(client.runs.create(thread, "steps", { input: {}, multitaskStrategy: "reject" }), 409, /./);
  await client.runs.cancel(thread, run, true);
});

test("422 names the field", async () => {
  await refused(client.threads.get("not-an-id"), 422, /thread_id/);
  await refused(client.threads.search({ limit: 5000 }), 422, /limit/);
  await refused(client.runs.wait(null, "steps", { input: {}, streamMode: "x", durability: "never" }), 422, /durability/);
  await refused(client.crons.create("steps", { schedule: "whenever" }), 422, /schedule/);
});

test("a stream that cannot begin is refused before it begins", async () => {
  const first = (stream) => stream.next();
  await refused(first(client.runs.stream(unknown, "steps", { input: {} })), 404, /thread/);
  await refused(first(client.runs.stream(null, "steps", { input: {}, streamMode: ["nothing"] })), 422, /stream_mode/);
  await refused(first(client.runs.joinStream(await newThread(), unknown)), 404, /run/);
});

test("400 says what does not go together", async () => {
  const payload = { input: {}, context: { tone: "dry" }, config: { configurable: { tone: "warm" } } };
  await refused(client.runs.wait(null, "received_config", payload), 400, /context/);
});
