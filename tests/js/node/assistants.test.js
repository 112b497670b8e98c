import assert from "node:assert/strict";
import test from "node:test";

import { client, version } from "./slipway.js";

function create(fields) {
  return client.assistants.create({ graphId: "received_config", name: `js ${version}`, metadata: { version }, ...fields });
}

test("an assistant is created, found, changed and deleted", async () => {
  const assistant = await create({ config: { configurable: { tone: "dry" } }, description: "A description" });
  assert.equal((await client.assistants.get(assistant.assistant_id)).name, `js ${version}`);
  const found = await client.assistants.search({ graphId: "received_config", metadata: { version }, limit: 100 });
  assert.ok(found.some((other) => other.assistant_id === assistant.assistant_id));
  assert.ok((await client.assistants.count({ graphId: "received_config", metadata: { version } })) >= 1);
  assert.equal((await client.assistants.update(assistant.assistant_id, { metadata: { more: 1 } })).version, 2);
  assert.equal(await client.assistants.delete(assistant.assistant_id), undefined);
  await assert.rejects(client.assistants.get(assistant.assistant_id), { status: 404 });
});

test("versions are listed, and an earlier one is restored", async () => {
  const { assistant_id } = await create();
  await client.assistants.update(assistant_id, { description: "second" });
  const versions = await client.assistants.getVersions(assistant_id);
  assert.deepEqual(versions.map((each) => each.version), [2, 1]);
  assert.equal((await client.assistants.setLatest(assistant_id, 1)).version, 1);
  assert.equal((await client.assistants.get(assistant_id)).description, null);
});

test("search returns the offset of the next page", async () => {
  const page = await client.assistants.search({ limit: 1, includePagination: true });
  assert.equal(page.assistants.length, 1);
  assert.equal(page.next, "1");
});

test("an assistant has the drawing, schemas and subgraphs of its graph", async () => {
  const drawing = await client.assistants.getGraph("nested", { xray: true });
  assert.ok(drawing.nodes.some((node) => node.id === "child:ask"));
  const schemas = await client.assistants.getSchemas("received_config");
  assert.equal(schemas.graph_id, "received_config");
  assert.ok("tone" in schemas.context_schema.properties);
  assert.deepEqual(Object.keys(await client.assistants.getSubgraphs("nested")), ["child"]);
  assert.deepEqual(Object.keys(await client.assistants.getSubgraphs("nested", { namespace: "child" })), ["child"]);
});

test("the graph receives the context of its assistant", async () => {
  const { assistant_id } = await create({ context: { tone: "warm" } });
  const values = await client.runs.wait(null, assistant_id, { input: {} });
  assert.deepEqual(values.context, { tone: "warm" });
  const overridden = await client.runs.wait(null, assistant_id, { input: {}, context: { tone: "dry" } });
  assert.deepEqual(overridden.context, { tone: "dry" });
});
