import assert from "node:assert/strict";
import test from "node:test";

import { client, collect, dataOf, held, line, names, newThread, openGate } from "./slipway.js";

const steps = { input: { value: 1 } };
const hello = { input: { messages: [{ type: "human", content: "hello" }] } };

async function streamed(graph, payload) {
  return collect(client.runs.stream(await newThread(), graph, payload));
}

async function only(mode, seen) {
  const parts = await streamed("steps", { ...steps, streamMode: mode });
  assert.deepEqual(new Set(names(parts)), new Set(["metadata", mode]));
  assert.ok(seen(dataOf(parts, mode)));
}

test("mode values", () => only("values", (data) => data.at(-1).value === 4));
test("mode updates", () => only("updates", (data) => data.flatMap(Object.keys).join() === "one,two,three"));
test("mode custom", () => only("custom", (data) => data[0].from === "one"));
test("mode tasks", () => only("tasks", (data) => data.filter((one) => "result" in one).length === 3));
test("mode checkpoints", () => only("checkpoints", (data) => data.at(-1).values.value === 4));
test("mode debug", () => only("debug", (data) => new Set(data.map((one) => one.type)).size === 3));
test("mode events", () => only("events", (data) => data.some((one) => one.event === "on_chain_end")));

test("mode messages", async () => {
  const parts = await streamed("talk", { ...hello, streamMode: "messages" });
  const partial = dataOf(parts, "messages/partial").map(([message]) => message.content);
  assert.equal(partial.at(-1), "hello to you");
  assert.ok(partial.length > 2);
  assert.ok(partial.every((text, place) => place === 0 || text.startsWith(partial[place - 1])));
  assert.equal(dataOf(parts, "messages/metadata").length, 1);
});

test("mode messages-tuple", async () => {
  const parts = await streamed("talk", { ...hello, streamMode: "messages-tuple" });
  const chunks = dataOf(parts, "messages");
  assert.equal(chunks.map(([message]) => message.content).join(""), "hello to you");
  assert.equal(new Set(chunks.map(([message]) => message.id)).size, 1);
  assert.ok(chunks.every(([, metadata]) => metadata.langgraph_node === "talk"));
});

test("several modes at once, and subgraphs by their namespace", async () => {
  const payload = { ...steps, streamMode: ["values", "updates"], streamSubgraphs: true };
  const events = names(await streamed("nested", payload));
  assert.ok(events.includes("updates") && events.includes("values"));
  assert.ok(events.some((name) => /^updates\|child:[0-9a-f-]+$/.test(name)));
});

test("who made the run is known before its first event", async () => {
  const thread = await newThread();
  let created;
  let known = false;
  for await (const part of client.runs.stream(thread, "steps", { ...steps, onRunCreated: (run) => (created = run) })) {
    if (part.event === "metadata") known = created?.run_id === part.data.run_id && created.thread_id === thread;
  }
  assert.ok(known);
});

test("a failure comes as an event", async () => {
  const parts = await streamed("fail", steps);
  assert.deepEqual(dataOf(parts, "error"), [{ error: "ValueError", message: "no luck today" }]);
});

test("joined later, a run is told from its start or from where one was", async () => {
  const thread = await newThread();
  const live = await collect(client.runs.stream(thread, "steps", { ...steps, streamMode: ["values", "updates"] }));
  const run = dataOf(live, "metadata")[0].run_id;
  const all = await collect(client.runs.joinStream(thread, run, { lastEventId: "-1" }));
  assert.deepEqual(all, live);
  const rest = await collect(client.runs.joinStream(thread, run, { lastEventId: live[3].id }));
  assert.deepEqual(rest, live.slice(4));
  const some = await collect(client.runs.joinStream(thread, run, { lastEventId: "-1", streamMode: ["updates"] }));
  assert.deepEqual(new Set(names(some)), new Set(["updates"]));
});

test("joined in the middle, a run goes on live", async () => {
  const thread = await newThread();
  const gate = `join ${line} ${thread}`;
  const payload = { input: { messages: [{ type: "human", content: gate }] }, streamMode: ["messages-tuple"] };
  const run = await client.runs.create(thread, "gated", payload);
  let text = "";
  for await (const part of client.runs.joinStream(thread, run.run_id, { lastEventId: "-1" })) {
    if (part.event === "messages") text += part.data[0].content;
    if (text.endsWith("word5 ") && part.event === "messages") await openGate(gate);
  }
  assert.equal(text, Array.from({ length: 12 }, (_, number) => `word${number} `).join(""));
});

test("beats of the server are no events", async () => {
  const thread = await newThread();
  const run = await held(thread);
  const until = setTimeout(() => client.runs.cancel(thread, run), 2_000); // ten beats and more
  const parts = await collect(client.runs.joinStream(thread, run, { lastEventId: "-1" }));
  clearTimeout(until);
  assert.ok(parts.every((part) => part.event), JSON.stringify(parts));
  assert.equal(new Set(parts.map((part) => part.id)).size, parts.length);
});
