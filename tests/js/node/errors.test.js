import assert from "node:assert/strict";
import test from "node:test";

import { client, startHold, newThread } from "./slipway.js";

const unknown = "01890a5d-ac96-774b-bcce-b302099a8057";

async function assertRejected(request, status, text) {
  await assert.rejects(request, (error) => {
    assert.equal(error.status, status);
    assert.match(JSON.parse(error.text).detail, text);
    assert.match(error.message, text);
    return true;
  });
}

test("404 names the unknown record", async () => {
  await assertRejected(client.threads.get(unknown), 404, /thread .*not found/);
  await assertRejected(client.runs.get(await newThread(), unknown), 404, /run .*not found/);
  await assertRejected(client.runs.wait(null, "unknown", { input: {} }), 422, /unknown/);
  await assertRejected(client.assistants.get(unknown), 404, /assistant/);
  await assertRejected(client.crons.delete(unknown), 404, /cron/);
});

test("409 has the reason", async () => {
  const thread = await newThread();
  await assertRejected(client.threads.create({ threadId: thread }), 409, /exists/);
  const run = await startHold(thread);
  await assertRejected(client.runs.create(thread, "steps", { input: {}, multitaskStrategy: "reject" }), 409, /./);
  await client.runs.cancel(thread, run, true);
});

test("422 names the field", async () => {
  await assertRejected(client.threads.get("not-an-id"), 422, /thread_id/);
  await assertRejected(client.threads.search({ limit: 5000 }), 422, /limit/);
  await assertRejected(client.runs.wait(null, "steps", { input: {}, streamMode: "x", durability: "never" }), 422, /durability/);
  await assertRejected(client.crons.create("steps", { schedule: "whenever" }), 422, /schedule/);
});

test("a stream that cannot start is rejected before its first event", async () => {
  const firstEvent = (stream) => stream.next();
  await assertRejected(firstEvent(client.runs.stream(unknown, "steps", { input: {} })), 404, /thread/);
  await assertRejected(firstEvent(client.runs.stream(null, "steps", { input: {}, streamMode: ["nothing"] })), 422, /stream_mode/);
  await assertRejected(firstEvent(client.runs.joinStream(await newThread(), unknown)), 404, /run/);
});

test("400 names the members that exclude each other", async () => {
  const payload = { input: {}, context: { tone: "dry" }, config: { configurable: { tone: "warm" } } };
  await assertRejected(client.runs.wait(null, "received_config", payload), 400, /context/);
});
