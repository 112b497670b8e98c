import assert from "node:assert/strict";
import test from "node:test";

import { Client, collect, url } from "./slipway.js";

const of = (origin) => new Client({ apiUrl: url, apiKey: null, defaultHeaders: { Origin: origin } });

test("a page of this machine and Studio use every kind of method", async () => {
  for (const origin of ["http://localhost:3000", "https://smith.langchain.com", "https://eu.smith.langchain.com"]) {
    const client = of(origin);
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

test("a page of another site is refused", async () => {
  const client = of("https://evil.example");
  const refused = (error) => error.status === 403 && /http\.cors\.allow_origins/.test(error.message);
  await assert.rejects(client.threads.create(), refused);
  await assert.rejects(client.runs.wait(null, "steps", { input: {} }), refused);
});
