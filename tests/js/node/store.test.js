import assert from "node:assert/strict";
import test from "node:test";

import { client, line } from "./slipway.js";

const place = ["js", line.replaceAll(".", "-")];

test("an item is put, read and removed", async () => {
  assert.equal(await client.store.putItem(place, "one", { colour: "red" }), undefined);
  const item = await client.store.getItem(place, "one");
  assert.deepEqual([item.namespace, item.key, item.value], [place, "one", { colour: "red" }]);
  assert.ok(new Date(item.createdAt) <= new Date(item.updatedAt));
  await client.store.deleteItem(place, "one");
  assert.equal(await client.store.getItem(place, "one"), null);
});

test("items are searched by their fields", async () => {
  for (const [key, size] of [["small", 1], ["large", 9]]) await client.store.putItem([...place, "sizes"], key, { size });
  const { items } = await client.store.searchItems([...place, "sizes"], { filter: { size: { $gt: 5 } } });
  assert.deepEqual(items.map((item) => item.key), ["large"]);
});

test("namespaces are listed", async () => {
  await client.store.putItem([...place, "listed"], "one", {});
  const { namespaces } = await client.store.listNamespaces({ prefix: place, maxDepth: 3 });
  assert.ok(namespaces.some((one) => one.join(".") === [...place, "listed"].join(".")));
});

test("an item may have a time to live", async () => {
  await client.store.putItem([...place, "short"], "one", { a: 1 }, { ttl: 60 });
  assert.deepEqual((await client.store.getItem([...place, "short"], "one", { refreshTtl: false })).value, { a: 1 });
});
