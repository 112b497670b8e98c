import assert from "node:assert/strict";
import test from "node:test";

import { client, version } from "./slipway.js";

const namespace = ["js", version.replaceAll(".", "-")];

test("an item is stored, read and deleted", async () => {
  assert.equal(await client.store.putItem(namespace, "one", { colour: "red" }), undefined);
  const item = await client.store.getItem(namespace, "one");
  assert.deepEqual([item.namespace, item.key, item.value], [namespace, "one", { colour: "red" }]);
  assert.ok(new Date(item.createdAt) <= new Date(item.updatedAt));
  await client.store.deleteItem(namespace, "one");
  assert.equal(await client.store.getItem(namespace, "one"), null);
});

test("items are searched by their fields", async () => {
  for (const [key, size] of [["small", 1], ["large", 9]]) await client.store.putItem([...namespace, "sizes"], key, { size });
  const { items } = await client.store.searchItems([...namespace, "sizes"], { filter: { size: { $gt: 5 } } });
  assert.deepEqual(items.map((item) => item.key), ["large"]);
});

test("namespaces are listed", async () => {
  await client.store.putItem([...namespace, "listed"], "one", {});
  const { namespaces } = await client.store.listNamespaces({ prefix: namespace, maxDepth: 3 });
  assert.ok(namespaces.some((each) => each.join(".") === [...namespace, "listed"].join(".")));
});

test("an item can have a time to live", async () => {
  await client.store.putItem([...namespace, "short"], "one", { a: 1 }, { ttl: 60 });
  assert.deepEqual((await client.store.getItem([...namespace, "short"], "one", { refreshTtl: false })).value, { a: 1 });
});
