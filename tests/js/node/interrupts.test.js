import assert from "node:assert/strict";
import test from "node:test";

import { client, collect, dataOf, newThread } from "./slipway.js";

const steps = { input: { value: 1 } };

test("a question is answered and the run goes on", async () => {
  const thread = await newThread();
  const asked = await client.runs.wait(thread, "ask", steps);
  assert.deepEqual(asked.__interrupt__[0].value, { question: "how much?" });
  const found = await client.threads.get(thread);
  assert.equal(found.status, "interrupted");
  assert.equal(Object.values(found.interrupts)[0][0].id, asked.__interrupt__[0].id);
  const answered = await client.runs.wait(thread, "ask", { command: { resume: 12 } });
  assert.deepEqual([answered.answer, answered.log], [12, ["one", "asked", "two"]]);
  assert.equal((await client.threads.get(thread)).status, "idle");
});

test("a question comes in the stream", async () => {
  const payload = { ...steps, streamMode: ["updates", "values"] };
  const parts = await collect(client.runs.stream(await newThread(), "ask", payload));
  const [told] = dataOf(parts, "updates").filter((one) => "__interrupt__" in one);
  assert.deepEqual(told.__interrupt__[0].value, { question: "how much?" });
  assert.equal(dataOf(parts, "values").at(-1).__interrupt__[0].id, told.__interrupt__[0].id);
});

test("two questions at once are answered by their ids", async () => {
  const thread = await newThread();
  const asked = await client.runs.wait(thread, "two_interrupts", { input: {} });
  const resume = Object.fromEntries(asked.__interrupt__.map((one) => [one.id, `answer to ${one.value}`]));
  const answered = await client.runs.wait(thread, "two_interrupts", { command: { resume } });
  assert.deepEqual(answered.log.toSorted(), ["answer to first?", "answer to second?"]);
});

test("a breakpoint is passed when told", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "steps", { ...steps, interruptBefore: ["two"] });
  assert.deepEqual((await client.threads.getState(thread)).next, ["two"]);
  assert.equal((await client.runs.wait(thread, "steps", { input: null })).value, 4);
});

test("a command writes and goes elsewhere", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "steps", steps);
  const values = await client.runs.wait(thread, "steps", { command: { update: { value: 10 }, goto: "three" } });
  assert.deepEqual([values.value, values.log], [11, ["one", "two", "three", "three"]]);
});

test("a run starts from an earlier checkpoint", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "steps", steps);
  const history = await client.threads.getHistory(thread, { limit: 50 });
  const { checkpoint } = history.find((past) => past.values.value === 2);
  const { thread_id, ...place } = checkpoint;
  assert.equal(thread_id, thread);
  assert.deepEqual((await client.runs.wait(thread, "steps", { input: null, checkpoint: place })).log, ["one", "two", "three"]);
  const again = await client.threads.getHistory(thread, { limit: 50 });
  const parents = again.map((past) => past.parent_checkpoint?.checkpoint_id);
  assert.ok(parents.filter((one) => one === checkpoint.checkpoint_id).length >= 2);
});

test("a refund is decided by a person", async () => {
  const thread = await newThread();
  const input = { order_id: "A-1002", reason: "It does not fit my bench" };
  const asked = await client.runs.wait(thread, "refund_desk", { input });
  assert.equal(asked.__interrupt__[0].value.action_requests[0].name, "issue_refund");
  const resume = { decisions: [{ type: "reject", message: "not this time" }] };
  const answered = await client.runs.wait(thread, "refund_desk", { command: { resume } });
  assert.equal(answered.decision, "rejected by a person");
});
