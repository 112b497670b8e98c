import assert from "node:assert/strict";
import test from "node:test";

import { client, startHold, version, newThread } from "./slipway.js";

async function threadWithRun() {
  const thread = await newThread({ metadata: { version } });
  await client.runs.wait(thread, "steps", { input: { value: 1 } });
  return thread;
}

test("a thread is created, read, changed and deleted", async () => {
  const thread = await client.threads.create({ metadata: { version }, graphId: "steps", ttl: 60 });
  assert.deepEqual(thread.metadata, { version, graph_id: "steps" });
  const existing = await client.threads.create({ threadId: thread.thread_id, ifExists: "do_nothing" });
  assert.equal(existing.thread_id, thread.thread_id);
  const changed = await client.threads.update(thread.thread_id, { metadata: { more: 1 } });
  assert.deepEqual(changed.metadata, { version, graph_id: "steps", more: 1 });
  assert.equal((await client.threads.get(thread.thread_id)).status, "idle");
  assert.equal(await client.threads.delete(thread.thread_id), undefined);
  await assert.rejects(client.threads.get(thread.thread_id), { status: 404 });
});

test("threads are found by metadata, values, status and ids", async () => {
  const thread = await threadWithRun();
  for (const query of [
    { metadata: { version, graph_id: "steps" } },
    { values: { value: 4 } },
    { status: "idle" },
    { ids: [thread] },
  ]) {
    const found = await client.threads.search({ ...query, limit: 1000, sortBy: "created_at", sortOrder: "desc" });
    assert.equal(found.find((each) => each.thread_id === thread).values.value, 4);
  }
  const [selected] = await client.threads.search({ ids: [thread], select: ["thread_id", "status"] });
  assert.deepEqual(selected, { thread_id: thread, status: "idle" });
  assert.ok((await client.threads.count({ metadata: { version }, values: { value: 4 } })) >= 1);
});

test("the state is read at each checkpoint", async () => {
  const thread = await threadWithRun();
  const latest = await client.threads.getState(thread);
  assert.deepEqual([latest.values.value, latest.next], [4, []]);
  const history = await client.threads.getHistory(thread, { limit: 50 });
  assert.deepEqual(history.map((state) => state.values.value), [4, 3, 2, 1, undefined]);
  for (const state of history) {
    assert.deepEqual((await client.threads.getState(thread, state.checkpoint.checkpoint_id)).values, state.values);
    assert.deepEqual((await client.threads.getState(thread, state.checkpoint)).values, state.values);
  }
});

test("history is listed before a checkpoint", async () => {
  const thread = await threadWithRun();
  const [newest, ...older] = await client.threads.getHistory(thread, { limit: 50 });
  const before = { configurable: newest.checkpoint };
  const ids = (states) => states.map((state) => state.checkpoint.checkpoint_id);
  assert.deepEqual(ids(await client.threads.getHistory(thread, { limit: 50, before })), ids(older));
  assert.equal((await client.threads.getHistory(thread, { limit: 50, metadata: { source: "input" } })).length, 1);
});

test("a thread without runs has an empty state", async () => {
  const thread = await newThread();
  const state = await client.threads.getState(thread);
  assert.deepEqual([state.values, state.next, state.tasks, state.checkpoint], [{}, [], [], null]);
  assert.deepEqual(await client.threads.getHistory(thread), []);
});

test("the state includes the states of subgraphs on request", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "nested", { input: { value: 1 } });
  const state = await client.threads.getState(thread, undefined, { subgraphs: true });
  assert.deepEqual(state.tasks[0].state.next, ["ask"]);
});

test("writing a state forks the thread", async () => {
  const thread = await threadWithRun();
  const history = await client.threads.getHistory(thread, { limit: 50 });
  const { checkpoint } = history.find((state) => state.values.value === 2);
  const written = await client.threads.updateState(thread, { values: { value: 40 }, checkpoint, asNode: "one" });
  assert.equal(written.configurable.thread_id, thread);
  assert.deepEqual((await client.threads.getState(thread)).next, ["two"]);
  assert.equal((await client.runs.wait(thread, "steps", { input: null })).value, 42);
});

test("patchState merges metadata", async () => {
  const thread = await newThread({ metadata: { version } });
  await client.threads.patchState(thread, { more: 1 });
  assert.deepEqual((await client.threads.get(thread)).metadata, { version, more: 1 });
});

test("a copy is independent of its thread", async () => {
  const thread = await threadWithRun();
  const copy = await client.threads.copy(thread);
  assert.notEqual(copy.thread_id, thread);
  await client.runs.wait(copy.thread_id, "steps", { input: { value: 10 } });
  assert.equal((await client.threads.getState(thread)).values.value, 4);
  assert.equal((await client.threads.getState(copy.thread_id)).values.value, 13);
  assert.equal((await client.threads.getHistory(copy.thread_id, { limit: 50 })).length, 10);
});

test("a history is imported superstep by superstep", async () => {
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

test("threads are pruned", { skip: client.threads.prune ? false : "this client has no prune" }, async () => {
  const thread = await threadWithRun();
  assert.deepEqual(await client.threads.prune([thread], { strategy: "keep_latest" }), { pruned_count: 1 });
  assert.equal((await client.threads.getHistory(thread, { limit: 50 })).length, 1);
});

test("the runs of a thread are followed one after another", async () => {
  const thread = await newThread();
  const abort = new AbortController();
  const follower = client.threads.joinStream(thread, { lastEventId: "-", streamMode: ["lifecycle"], signal: abort.signal });
  const runs = [];
  for (let number = 0; number < 2; number += 1) {
    runs.push((await client.runs.create(thread, "steps", { input: { value: number } })).run_id);
  }
  const done = [];
  for await (const part of follower) {
    if (part.event === "metadata" && part.data.status === "run_done") done.push(part.data.run_id);
    if (done.length === 2) break;
  }
  abort.abort();
  assert.deepEqual(done, runs);
});

test("a state write to a busy thread is rejected", async () => {
  const thread = await newThread();
  const run = await startHold(thread);
  assert.equal((await client.threads.get(thread)).status, "busy");
  await assert.rejects(client.threads.updateState(thread, { values: { value: 1 } }), { status: 409 });
  await client.runs.cancel(thread, run, true);
});
