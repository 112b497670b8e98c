import assert from "node:assert/strict";
import test from "node:test";

import { client, newThread, waitUntil } from "./slipway.js";

const skip = client.threads.stream ? false : "this client does not speak the event protocol";
const noWebSocket = globalThis.WebSocket ? false : "this version of node has no WebSocket; the tests in Chromium use one";

async function interruptAndAnswer(transport) {
  const id = await newThread();
  const thread = client.threads.stream(id, { assistantId: "ask", transport });
  const events = [];
  const ended = (event) => events.some((each) => each.method === "lifecycle" && each.params.data.event === event);
  thread.onEvent((event) => events.push(event));
  try {
    await thread.run.start({ input: { value: 1 } });
    const [interrupt] = await waitUntil(() => thread.interrupts.length > 0 && thread.interrupts);
    assert.deepEqual(interrupt.payload, { question: "how much?" });
    await thread.respondInput({ interrupt_id: interrupt.interruptId, namespace: interrupt.namespace, response: 12 });
    await waitUntil(() => ended("completed"));
    assert.equal((await client.threads.getState(id)).values.answer, 12);
    assert.equal(new Set(events.map((event) => event.event_id)).size, events.length);
  } finally {
    await thread.close();
  }
}

test("a thread is followed over server-sent events, and its interrupt is answered", { skip }, () => interruptAndAnswer("sse"));

test("a thread is followed over a WebSocket, and its interrupt is answered", { skip: skip || noWebSocket }, () =>
  interruptAndAnswer("websocket"));
