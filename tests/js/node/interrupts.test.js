import assert from "node:assert/strict";
import test from "node:test";

import { client, collect, dataOf, newThread } from "./slipway.js";

const steps = { input: { value: 1 } };

test("the answer to an interrupt continues the thread", async () => {
  const thread = await newThread();
  const interrupted = await client.runs.wait(thread, "ask", steps);
  assert.deepEqual(interrupted.__interrupt__[0].value, { question: "how much?" });
  const record = await client.threads.get(thread);
  assert.equal(record.status, "interrupted");
  assert.equal(Object.values(record.interrupts)[0][0].id, interrupted.__interrupt__[0].id);
  const answered = await client.runs.wait(thread, "ask", { command: { resume: 12 } });
  assert.deepEqual([answered.answer, answered.log], [12, ["one", "asked", "two"]]);
  assert.equal((await client.threads.get(thread)).status, "idle");
});

test("a stream has the interrupt", async () => {
  const payload = { ...steps, streamMode: ["updates", "values"] };
  const parts = await collect(client.runs.stream(await newThread(), "ask", payload));
  const [interrupted] = dataOf(parts, "updates").filter((update) => "__interrupt__" in update);
  assert.deepEqual(interrupted.__interrupt__[0].value, { question: "how much?" });
  assert.equal(dataOf(parts, "values").at(-1).__interrupt__[0].id, interrupted.__interrupt__[0].id);
});

test("two interrupts at once are answered by their ids", async () => {
  const thread = await newThread();
  const interrupted = await client.runs.wait(thread, "two_interrupts", { input: {} });
  const resume = Object.fromEntries(interrupted.__interrupt__.map(({ id, value }) => [id, `answer to ${value}`]));
  const answered = await client.runs.wait(thread, "two_interrupts", { command: { resume } });
  assert.deepEqual(answered.log.toSorted(), ["answer to first?", "answer to second?"]);
});

test("a thread stops at a breakpoint and the next run continues it", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "steps", { ...steps, interruptBefore: ["two"] });
  assert.deepEqual((await client.threads.getState(thread)).next, ["two"]);
  assert.equal((await client.runs.wait(thread, "steps", { input: null })).value, 4);
});

test("a command writes the state and jumps to a node", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "steps", steps);
  const values = await client.runs.wait(thread, "steps", { command: { update: { value: 10 }, goto: "three" } });
  assert.deepEqual([values.value, values.log], [11, ["one", "two", "three", "three"]]);
});

test("a run starts from an earlier checkpoint", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "steps", steps);
  const history = await client.threads.getHistory(thread, { limit: 50 });
  const { checkpoint } = history.find((state) => state.values.value === 2);
  const { thread_id, ...reference } = checkpoint;
  assert.equal(thread_id, thread);
  assert.deepEqual((await client.runs.wait(thread, "steps", { input: null, checkpoint: reference })).log, ["one", "two", "three"]);
  const afterFork = await client.threads.getHistory(thread, { limit: 50 });
  const parents = afterFork.map((state) => state.parent_checkpoint?.checkpoint_id);
  assert.ok(parents.filter((parent) => parent === checkpoint.checkpoint_id).length >= 2);
});

test("a person rejects a refund", async () => {
  const thread = await newThread();
  const input = { order_id: "A-1002", reason: "It does not fit my bench" };
  const interrupted = await client.runs.wait(thread, "refund_desk", { input });
  assert.equal(interrupted.__interrupt__[0].value.name, "issue_refund");
  const resume = { type: "reject", message: "not this time" };
  const answered = await client.runs.wait(thread, "refund_desk", { command: { resume } });
  assert.equal(answered.decision, "rejected by a person");
});
