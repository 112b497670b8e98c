import assert from "node:assert/strict";
import test from "node:test";

import { client, version, newThread, waitUntil } from "./slipway.js";

const yearly = { schedule: "0 0 1 1 *", input: { value: 1 } };

test("a cron is created, found, changed and deleted", async () => {
  const cron = await client.crons.create("steps", { ...yearly, metadata: { version } });
  assert.deepEqual([cron.schedule, cron.enabled, cron.payload.input], [yearly.schedule, true, yearly.input]);
  const found = await client.crons.search({ assistantId: cron.assistant_id, limit: 100 });
  assert.ok(found.some((other) => other.cron_id === cron.cron_id));
  assert.ok((await client.crons.count({ assistantId: cron.assistant_id })) >= 1);
  assert.equal((await client.crons.update(cron.cron_id, { enabled: false })).enabled, false);
  await client.crons.delete(cron.cron_id);
  await assert.rejects(client.crons.delete(cron.cron_id), { status: 404 });
});

test("a cron creates runs on its thread", async () => {
  const thread = await newThread();
  const payload = { schedule: "* * * * * */1", input: { value: 1 } }; // the last field is seconds
  const cron = await client.crons.createForThread(thread, "steps", payload);
  assert.equal(cron.thread_id, thread);
  await waitUntil(async () => (await client.threads.getState(thread)).values.value === 4);
  await client.crons.delete(cron.cron_id);
});
