// Two owners with API keys, as browsers and servers with the JavaScript client. Arguments: their keys.

import assert from "node:assert/strict";

const { Client } = await import(process.env.CLIENT_PACKAGE);
const [annKey, bobKey] = process.argv.slice(2);
const apiUrl = process.env.SLIPWAY_URL;
const ann = new Client({ apiUrl, apiKey: annKey });
const bob = new Client({ apiUrl, apiKey: bobKey });

const { thread_id: thread } = await ann.threads.create();
const events = [];
for await (const part of ann.runs.stream(thread, "steps", { input: { value: 1 } })) events.push(part.event);
assert.ok(events.includes("values"), events.join());
assert.ok(!events.includes("error"), events.join());
assert.equal((await ann.threads.get(thread)).metadata.owner, "ann");
assert.equal((await ann.threads.search({ ids: [thread] })).length, 1);

await assert.rejects(bob.threads.get(thread), { status: 404 });
await assert.rejects(bob.threads.getState(thread), { status: 404 });
await assert.rejects(bob.runs.wait(thread, "steps", { input: {}, ifNotExists: "create" }), (error) => [404, 409].includes(error.status));
assert.deepEqual(await bob.threads.search({ ids: [thread] }), []);
const stranger = new Client({ apiUrl, apiKey: "slipway_none", callerOptions: { maxRetries: 0 } });
await assert.rejects(stranger.threads.search(), { status: 401 });
console.log("ok");
