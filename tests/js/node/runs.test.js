import assert from "node:assert/strict";
import test from "node:test";

import { client, collect, dataOf, startHold, version, eventNames, newThread, openGate, waitUntil } from "./slipway.js";

const steps = { input: { value: 1 } };

test("a background run is read, joined, listed and deleted", async () => {
  const thread = await newThread();
  let created;
  const onRunCreated = (run) => (created = run);
  const run = await client.runs.create(thread, "steps", { ...steps, metadata: { own: 1 }, onRunCreated });
  assert.deepEqual(created, { run_id: run.run_id, thread_id: thread });
  assert.equal(run.metadata.own, 1);
  assert.equal((await client.runs.join(thread, run.run_id)).value, 4);
  assert.equal((await client.runs.get(thread, run.run_id)).status, "success");
  assert.deepEqual((await client.runs.list(thread, { status: "success" })).map((each) => each.run_id), [run.run_id]);
  const [selected] = await client.runs.list(thread, { select: ["run_id", "status"] });
  assert.deepEqual(selected, { run_id: run.run_id, status: "success" });
  assert.equal(await client.runs.delete(thread, run.run_id), undefined);
  await assert.rejects(client.runs.get(thread, run.run_id), { status: 404 });
});

test("wait returns the last values and reports its run", async () => {
  const thread = await newThread();
  let created;
  const values = await client.runs.wait(thread, "steps", { ...steps, onRunCreated: (run) => (created = run) });
  assert.deepEqual([values.value, values.log], [4, ["one", "two", "three"]]);
  assert.equal((await client.runs.get(thread, created.run_id)).thread_id, thread);
});

test("wait throws the error of a failed run, or returns it without raiseError", async () => {
  const thread = await newThread();
  await assert.rejects(client.runs.wait(thread, "fail", steps), /ValueError: no luck today/);
  const result = await client.runs.wait(thread, "fail", { ...steps, raiseError: false });
  assert.deepEqual(result.__error__, { error: "ValueError", message: "no luck today" });
  assert.equal((await client.threads.get(thread)).status, "error");
});

test("cancel returns at once, or after the run ended", async () => {
  const thread = await newThread();
  const run = await startHold(thread);
  assert.equal(await client.runs.cancel(thread, run), undefined);
  await waitUntil(async () => (await client.runs.get(thread, run)).status === "interrupted");
  const other = await startHold(thread);
  assert.equal(typeof (await client.runs.cancel(thread, other, true)), "object");
  assert.equal((await client.runs.get(thread, other)).status, "interrupted");
  await assert.rejects(client.runs.cancel(thread, other), { status: 404 });
});

test("a rolled back run is deleted with its checkpoints", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "steps", steps);
  const run = await startHold(thread);
  await client.runs.cancel(thread, run, true, "rollback");
  await assert.rejects(client.runs.get(thread, run), { status: 404 });
  assert.equal((await client.threads.getState(thread)).values.value, 4);
});

test("the stream of a cancelled run ends without an error", async () => {
  const thread = await newThread();
  const parts = collect(client.runs.stream(thread, "hold", { input: {}, streamMode: ["values"] }));
  await waitUntil(async () => (await client.threads.getState(thread)).next.includes("wait"));
  const [run] = await client.runs.list(thread);
  await client.runs.cancel(thread, run.run_id, true);
  assert.ok(!eventNames(await parts).some((name) => name.startsWith("error")));
});

test("several runs are cancelled by one request", { skip: client.runs.cancelMany ? false : "this client has no cancelMany" }, async () => {
  const thread = await newThread();
  const run = await startHold(thread);
  assert.equal(await client.runs.cancelMany({ threadId: thread, runIds: [run] }), undefined);
  await waitUntil(async () => (await client.runs.get(thread, run)).status === "interrupted");
});

test("a client that disconnects cancels its run only on request", async () => {
  const thread = await newThread();
  for (const [onDisconnect, status] of [["cancel", "interrupted"], ["continue", "running"]]) {
    const abort = new AbortController();
    const payload = { input: {}, onDisconnect, signal: abort.signal, streamMode: "updates" };
    let run;
    for await (const part of client.runs.stream(thread, "hold", payload)) {
      if (part.event === "metadata") run = part.data.run_id;
      if (part.event === "updates") break;
    }
    abort.abort();
    await waitUntil(async () => (await client.runs.get(thread, run)).status === status);
  }
  const [last] = await client.runs.list(thread);
  await client.runs.cancel(thread, last.run_id, true);
});

test("runs of one thread execute one after another", async () => {
  const thread = await newThread();
  const first = await startHold(thread);
  const second = await client.runs.create(thread, "steps", steps);
  assert.equal((await client.runs.get(thread, second.run_id)).status, "pending");
  await assert.rejects(client.runs.create(thread, "steps", { ...steps, multitaskStrategy: "reject" }), { status: 409 });
  const third = await client.runs.create(thread, "steps", { input: { value: 5 }, multitaskStrategy: "interrupt" });
  assert.equal((await client.runs.join(thread, third.run_id)).value, 8);
  for (const run of [first, second.run_id]) assert.equal((await client.runs.get(thread, run)).status, "interrupted");
});

test("an unknown thread is created with ifNotExists", async () => {
  const thread = crypto.randomUUID();
  await assert.rejects(client.runs.wait(thread, "steps", steps), { status: 404 });
  assert.equal((await client.runs.wait(thread, "steps", { ...steps, ifNotExists: "create" })).value, 4);
});

test("stateless runs are awaited, streamed and created in a batch", async () => {
  assert.equal((await client.runs.wait(null, "steps", steps)).value, 4);
  let created;
  const parts = await collect(client.runs.stream(null, "steps", { ...steps, onRunCreated: (run) => (created = run) }));
  assert.equal(dataOf(parts, "values").at(-1).value, 4);
  assert.equal(created.run_id, dataOf(parts, "metadata")[0].run_id);
  const batch = await client.runs.createBatch([
    { assistantId: "steps", ...steps, on_completion: "keep" },
    { assistantId: "steps", input: { value: 2 }, on_completion: "keep" },
  ]);
  const values = await Promise.all(batch.map((run) => client.runs.join(run.thread_id, run.run_id)));
  assert.deepEqual(values.map(({ value }) => value), [4, 5]);
});

test("a stateless run is followed by its run id alone", async () => {
  const gate = `stateless ${version} ${crypto.randomUUID()}`;
  const input = { messages: [{ type: "human", content: gate }] };
  const run = await client.runs.create(null, "gated", { input, streamMode: ["values", "messages-tuple"] });
  const parts = [];
  for await (const part of client.runs.joinStream(null, run.run_id, { lastEventId: "-1" })) {
    parts.push(part);
    if (part.event === "values") await openGate(gate);
  }
  assert.match(dataOf(parts, "values").at(-1).messages.at(-1).content, /^word0 .* word11 $/);
});
