import assert from "node:assert/strict";
import test from "node:test";

import { client, line } from "./slipway.js";

function make(more) {
  return client.assistants.create({ graphId: "received_config", name: `js ${line}`, metadata: { line }, ...more });
}

test("one is made, found, changed and removed", async () => {
  const made = await make({ config: { configurable: { tone: "dry" } }, description: "of a test" });
  assert.equal((await client.assistants.get(made.assistant_id)).name, `js ${line}`);
  const found = await client.assistants.search({ graphId: "received_config", metadata: { line }, limit: 100 });
  assert.ok(found.some((one) => one.assistant_id === made.assistant_id));
  assert.ok((await client.assistants.count({ graphId: "received_config", metadata: { line } })) >= 1);
  assert.equal((await client.assistants.update(made.assistant_id, { metadata: { more: 1 } })).version, 2);
  assert.equal(await client.assistants.delete(made.assistant_id), undefined);
  await assert.rejects(client.assistants.get(made.assistant_id), { status: 404 });
});

test("versions are listed, and an old one comes back", async () => {
  const { assistant_id } = await make();
  await client.assistants.update(assistant_id, { description: "second" });
  const versions = await client.assistants.getVersions(assistant_id);
  assert.deepEqual(versions.map((one) => one.version), [2, 1]);
  assert.equal((await client.assistants.setLatest(assistant_id, 1)).version, 1);
  assert.equal((await client.assistants.get(assistant_id)).description, null);
});

test("search says where the next page begins", async () => {
  const page = await client.assistants.search({ limit: 1, includePagination: true });
  assert.equal(page.assistants.length, 1);
  assert.equal(page.next, "1");
});

test("drawings, schemas and subgraphs are its graph's", async () => {
  const drawing = await client.assistants.getGraph("nested", { xray: true });
  assert.ok(drawing.nodes.some((node) => node.id === "child:ask"));
  const schemas = await client.assistants.getSchemas("received_config");
  assert.equal(schemas.graph_id, "received_config");
  assert.ok("tone" in schemas.context_schema.properties);
  assert.deepEqual(Object.keys(await client.assistants.getSubgraphs("nested")), ["child"]);
  assert.deepEqual(Object.keys(await client.assistants.getSubgraphs("nested", { namespace: "child" })), ["child"]);
});

test("its config and context reach the graph", async () => {
  const { assistant_id } = await make({ context: { tone: "warm" } });
  const values = await client.runs.wait(null, assistant_id, { input: {} });
  assert.deepEqual(values.context, { tone: "warm" });
  const asked = await client.runs.wait(null, assistant_id, { input: {}, context: { tone: "dry" } });
  assert.deepEqual(asked.context, { tone: "dry" });
});
