import assert from "node:assert/strict";
import test from "node:test";

import { Client, collect, url } from "./slipway.js";

const clientOf = (origin) => new Client({ apiUrl: url, apiKey: null, defaultHeaders: { Origin: origin } });

test("pages of this machine and Studio can use all methods", async () => {
  for (const origin of ["http://localhost:3000", "https://smith.langchain.com", "https://eu.smith.langchain.com"]) {
    const client = clientOf(origin);
    const thread = (await client.threads.create()).thread_id;
    const input = { until: 2 };
    assert.ok((await collect(client.runs.stream(thread, "steps", { input }))).length > 1);
    assert.ok(await client.runs.wait(thread, "steps", { input }));
    assert.ok((await client.threads.getState(thread)).values);
    await client.threads.update(thread, { metadata: { a: 1 } });
    await client.store.putItem(["pages"], "k", { origin });
    await client.threads.delete(thread);
  }
});

test("a page of another site is rejected", async () => {
  const client = clientOf("https://evil.example");
  const isRejection = (error) => error.status === 403 && /http\.cors\.allow_origins/.test(error.message);
  await assert.rejects(client.threads.create(), isRejection);
  await assert.rejects(client.runs.wait(null, "steps", { input: {} }), isRejection);
});
