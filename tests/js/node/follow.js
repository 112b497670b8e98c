// `follow.js GRAPH INPUT [THREAD]`: creates a run and prints each event of its stream as a line of JSON.

import { client } from "./slipway.js";

const [graph, input, thread = null] = process.argv.slice(2);
const payload = {
  input: JSON.parse(input),
  streamMode: ["values", "custom"],
  streamResumable: true,
  ...(thread === null ? { onCompletion: "keep" } : {}), // else a client that reconnects after the end finds no run
};
for await (const part of client.runs.stream(thread, graph, payload)) console.log(JSON.stringify(part));
