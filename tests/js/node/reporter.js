// A reporter for the test runner of Node: prints one line of JSON for each test, which test_node.py reads.

import { basename } from "node:path";

function reason(error) {
  const cause = error?.cause ?? error;
  return cause?.stack ?? String(cause);
}

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const failure = type === "test:fail" ? reason(data.details.error) : null;
    yield `${JSON.stringify({ file: basename(data.file ?? data.name), name: data.name, failure })}\n`;
  }
}
