// Runs a graph and prints every event as a line of JSON, until the stream ends: `follow.js GRAPH INPUT [THREAD]`.

import { client } from "./slipway.js";

const [graph, input, thread = null] = process.argv.slice(2);
const payload = {
  input: JSON.parse(input),
  streamMode: ["values", "custom"],
  streamResumable: true,
  ...(thread === null ? { onCompletion: "keep" } : {}), // else it is gone when a client comes back after its end
};
for await (const part of client.runs.stream(thread, graph, payload)) console.log(JSON.stringify(part));
