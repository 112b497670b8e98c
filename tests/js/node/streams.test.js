import assert from "node:assert/strict";
import test from "node:test";

import { client, collect, dataOf, startHold, version, eventNames, newThread, openGate } from "./slipway.js";

const steps = { input: { value: 1 } };
const hello = { input: { messages: [{ type: "human", content: "hello" }] } };

async function streamOf(graph, payload) {
  return collect(client.runs.stream(await newThread(), graph, payload));
}

async function assertOnly(mode, isExpected) {
  const parts = await streamOf("steps", { ...steps, streamMode: mode });
  assert.deepEqual(new Set(eventNames(parts)), new Set(["metadata", mode]));
  assert.ok(isExpected(dataOf(parts, mode)));
}

test("mode values", () => assertOnly("values", (data) => data.at(-1).value === 4));
test("mode updates", () => assertOnly("updates", (data) => data.flatMap(Object.keys).join() === "one,two,three"));
test("mode custom", () => assertOnly("custom", (data) => data[0].from === "one"));
test("mode tasks", () => assertOnly("tasks", (data) => data.filter((task) => "result" in task).length === 3));
test("mode checkpoints", () => assertOnly("checkpoints", (data) => data.at(-1).values.value === 4));
test("mode debug", () => assertOnly("debug", (data) => new Set(data.map((entry) => entry.type)).size === 3));
test("mode events", () => assertOnly("events", (data) => data.some((entry) => entry.event === "on_chain_end")));

test("mode messages", async () => {
  const parts = await streamOf("talk", { ...hello, streamMode: "messages" });
  const partial = dataOf(parts, "messages/partial").map(([message]) => message.content);
  assert.equal(partial.at(-1), "hello to you");
  assert.ok(partial.length > 2);
  assert.ok(partial.every((text, index) => index === 0 || text.startsWith(partial[index - 1])));
  assert.equal(dataOf(parts, "messages/metadata").length, 1);
});

test("mode messages-tuple", async () => {
  const parts = await streamOf("talk", { ...hello, streamMode: "messages-tuple" });
  const chunks = dataOf(parts, "messages");
  assert.equal(chunks.map(([message]) => message.content).join(""), "hello to you");
  assert.equal(new Set(chunks.map(([message]) => message.id)).size, 1);
  assert.ok(chunks.every(([, metadata]) => metadata.langgraph_node === "talk"));
});

test("several modes at once, and subgraphs with their namespace", async () => {
  const payload = { ...steps, streamMode: ["values", "updates"], streamSubgraphs: true };
  const events = eventNames(await streamOf("nested", payload));
  assert.ok(events.includes("updates") && events.includes("values"));
  assert.ok(events.some((name) => /^updates\|child:[0-9a-f-]+$/.test(name)));
});

test("onRunCreated is called before the first event", async () => {
  const thread = await newThread();
  let created;
  let calledBefore = false;
  for await (const part of client.runs.stream(thread, "steps", { ...steps, onRunCreated: (run) => (created = run) })) {
    if (part.event === "metadata") calledBefore = created?.run_id === part.data.run_id && created.thread_id === thread;
  }
  assert.ok(calledBefore);
});

test("a failed run sends an error event", async () => {
  const parts = await streamOf("fail", steps);
  assert.deepEqual(dataOf(parts, "error"), [{ error: "ValueError", message: "no luck today" }]);
});

test("joinStream replays a run from its start or after an event id", async () => {
  const thread = await newThread();
  const live = await collect(client.runs.stream(thread, "steps", { ...steps, streamMode: ["values", "updates"] }));
  const run = dataOf(live, "metadata")[0].run_id;
  const all = await collect(client.runs.joinStream(thread, run, { lastEventId: "-1" }));
  assert.deepEqual(all, live);
  const remaining = await collect(client.runs.joinStream(thread, run, { lastEventId: live[3].id }));
  assert.deepEqual(remaining, live.slice(4));
  const updates = await collect(client.runs.joinStream(thread, run, { lastEventId: "-1", streamMode: ["updates"] }));
  assert.deepEqual(new Set(eventNames(updates)), new Set(["updates"]));
});

test("joinStream follows a run that is executing", async () => {
  const thread = await newThread();
  const gate = `join ${version} ${thread}`;
  const payload = { input: { messages: [{ type: "human", content: gate }] }, streamMode: ["messages-tuple"] };
  const run = await client.runs.create(thread, "gated", payload);
  let text = "";
  for await (const part of client.runs.joinStream(thread, run.run_id, { lastEventId: "-1" })) {
    if (part.event === "messages") text += part.data[0].content;
    if (text.endsWith("word5 ") && part.event === "messages") await openGate(gate);
  }
  assert.equal(text, Array.from({ length: 12 }, (_, number) => `word${number} `).join(""));
});

test("pings of the server are not events", async () => {
  const thread = await newThread();
  const run = await startHold(thread);
  const timer = setTimeout(() => client.runs.cancel(thread, run), 2_000); // at least ten pings
  const parts = await collect(client.runs.joinStream(thread, run, { lastEventId: "-1" }));
  clearTimeout(timer);
  assert.ok(parts.every((part) => part.event), JSON.stringify(parts));
  assert.equal(new Set(parts.map((part) => part.id)).size, parts.length);
});
