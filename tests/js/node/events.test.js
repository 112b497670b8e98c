import assert from "node:assert/strict";
import test from "node:test";

import { client, newThread, until } from "./slipway.js";

const skip = client.threads.stream ? false : "this line does not speak the event protocol";
const noSocket = globalThis.WebSocket ? false : "this node has no WebSocket; the pages' tests use one";

async function askedAndAnswered(transport) {
  const id = await newThread();
  const thread = client.threads.stream(id, { assistantId: "ask", transport });
  const events = [];
  const ended = (event) => events.some((one) => one.method === "lifecycle" && one.params.data.event === event);
  thread.onEvent((event) => events.push(event));
  try {
    await thread.run.start({ input: { value: 1 } });
    const [asked] = await until(() => thread.interrupts.length > 0 && thread.interrupts);
    assert.deepEqual(asked.payload, { question: "how much?" });
    await thread.respondInput({ interrupt_id: asked.interruptId, namespace: asked.namespace, response: 12 });
    await until(() => ended("completed"));
    assert.equal((await client.threads.getState(id)).values.answer, 12);
    assert.equal(new Set(events.map((event) => event.event_id)).size, events.length);
  } finally {
    await thread.close();
  }
}

test("a thread is followed by events, and a question in it answered", { skip }, () => askedAndAnswered("sse"));

test("a thread is followed over a socket, and a question in it answered", { skip: skip || noSocket }, () =>
  askedAndAnswered("websocket"));
