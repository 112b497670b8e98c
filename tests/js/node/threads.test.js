import assert from "node:assert/strict";
import test from "node:test";

import { client, held, line, newThread } from "./slipway.js";

async function walked() {
  const thread = await newThread({ metadata: { line } });
  await client.runs.wait(thread, "steps", { input: { value: 1 } });
  return thread;
}

test("one is made, read, changed and removed", async () => {
  const made = await client.threads.create({ metadata: { line }, graphId: "steps", ttl: 60 });
  assert.deepEqual(made.metadata, { line, graph_id: "steps" });
  const again = await client.threads.create({ threadId: made.thread_id, ifExists: "do_nothing" });
  assert.equal(again.thread_id, made.thread_id);
  const changed = await client.threads.update(made.thread_id, { metadata: { more: 1 } });
  assert.deepEqual(changed.metadata, { line, graph_id: "steps", more: 1 });
  assert.equal((await client.threads.get(made.thread_id)).status, "idle");
  assert.equal(await client.threads.delete(made.thread_id), undefined);
  await assert.rejects(client.threads.get(made.thread_id), { status: 404 });
});

test("search finds by metadata, values, status and ids", async () => {
  const thread = await walked();
  for (const query of [
    { metadata: { line, graph_id: "steps" } },
    { values: { value: 4 } },
    { status: "idle" },
    { ids: [thread] },
  ]) {
    const found = await client.threads.search({ ...query, limit: 1000, sortBy: "created_at", sortOrder: "desc" });
    assert.equal(found.find((one) => one.thread_id === thread).values.value, 4);
  }
  const [slim] = await client.threads.search({ ids: [thread], select: ["thread_id", "status"] });
  assert.deepEqual(slim, { thread_id: thread, status: "idle" });
  assert.ok((await client.threads.count({ metadata: { line }, values: { value: 4 } })) >= 1);
});

test("the state is read at the end and at every checkpoint", async () => {
  const thread = await walked();
  const now = await client.threads.getState(thread);
  assert.deepEqual([now.values.value, now.next], [4, []]);
  const history = await client.threads.getHistory(thread, { limit: 50 });
  assert.deepEqual(history.map((past) => past.values.value), [4, 3, 2, 1, undefined]);
  for (const past of history) {
    assert.deepEqual((await client.threads.getState(thread, past.checkpoint.checkpoint_id)).values, past.values);
    assert.deepEqual((await client.threads.getState(thread, past.checkpoint)).values, past.values);
  }
});

test("history goes on before a checkpoint", async () => {
  const thread = await walked();
  const [newest, ...older] = await client.threads.getHistory(thread, { limit: 50 });
  const before = { configurable: newest.checkpoint };
  const ids = (states) => states.map((one) => one.checkpoint.checkpoint_id);
  assert.deepEqual(ids(await client.threads.getHistory(thread, { limit: 50, before })), ids(older));
  assert.equal((await client.threads.getHistory(thread, { limit: 50, metadata: { source: "input" } })).length, 1);
});

test("a thread that never ran has an empty state", async () => {
  const thread = await newThread();
  const state = await client.threads.getState(thread);
  assert.deepEqual([state.values, state.next, state.tasks, state.checkpoint], [{}, [], [], null]);
  assert.deepEqual(await client.threads.getHistory(thread), []);
});

test("the states of subgraphs come when asked for", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "nested", { input: { value: 1 } });
  const state = await client.threads.getState(thread, undefined, { subgraphs: true });
  assert.deepEqual(state.tasks[0].state.next, ["ask"]);
});

test("writing a state forks the thread", async () => {
  const thread = await walked();
  const history = await client.threads.getHistory(thread, { limit: 50 });
  const { checkpoint } = history.find((past) => past.values.value === 2);
  const written = await client.threads.updateState(thread, { values: { value: 40 }, checkpoint, asNode: "one" });
  assert.equal(written.configurable.thread_id, thread);
  assert.deepEqual((await client.threads.getState(thread)).next, ["two"]);
  assert.equal((await client.runs.wait(thread, "steps", { input: null })).value, 42);
});

test("metadata is merged by the old way too", async () => {
  const thread = await newThread({ metadata: { line } });
  await client.threads.patchState(thread, { more: 1 });
  assert.deepEqual((await client.threads.get(thread)).metadata, { line, more: 1 });
});

test("a copy goes its own way", async () => {
  const thread = await walked();
  const copy = await client.threads.copy(thread);
  assert.notEqual(copy.thread_id, thread);
  await client.runs.wait(copy.thread_id, "steps", { input: { value: 10 } });
  assert.equal((await client.threads.getState(thread)).values.value, 4);
  assert.equal((await client.threads.getState(copy.thread_id)).values.value, 13);
  assert.equal((await client.threads.getHistory(copy.thread_id, { limit: 50 })).length, 10);
});

test("a past is brought along superstep by superstep", async () => {
  const thread = await newThread({
    graphId: "steps",
    supersteps: [
      { updates: [{ values: { value: 7 }, asNode: "__input__" }] },
      { updates: [{ values: { value: 8, log: ["one"] }, asNode: "one" }] },
    ],
  });
  const state = await client.threads.getState(thread);
  assert.deepEqual([state.values.value, state.next], [8, ["two"]]);
});

test("several are pruned", { skip: client.threads.prune ? false : "this line has no prune" }, async () => {
  const thread = await walked();
  assert.deepEqual(await client.threads.prune([thread], { strategy: "keep_latest" }), { pruned_count: 1 });
  assert.equal((await client.threads.getHistory(thread, { limit: 50 })).length, 1);
});

test("the runs of a thread are followed one after another", async () => {
  const thread = await newThread();
  const leave = new AbortController();
  const follower = client.threads.joinStream(thread, { lastEventId: "-", streamMode: ["lifecycle"], signal: leave.signal });
  const runs = [];
  for (let number = 0; number < 2; number += 1) {
    runs.push((await client.runs.create(thread, "steps", { input: { value: number } })).run_id);
  }
  const done = [];
  for await (const part of follower) {
    if (part.event === "metadata" && part.data.status === "run_done") done.push(part.data.run_id);
    if (done.length === 2) break;
  }
  leave.abort();
  assert.deepEqual(done, runs);
});

test("a busy thread is busy, and its state is not written", async () => {
  const thread = await newThread();
  const run = await held(thread);
  assert.equal((await client.threads.get(thread)).status, "busy");
  await assert.rejects(client.threads.updateState(thread, { values: { value: 1 } }), { status: 409 });
  await client.runs.cancel(thread, run, true);
});
