import { Client } from "@langchain/langgraph-sdk";
import fs from "node:fs";
const url = fs.readFileSync("/tmp/eventjs/url","utf8");
const client = new Client({ apiUrl: url, apiKey: null });
const H = { messages: [{ type: "human", content: "hello", id: "h1" }] };
const within = (p, ms=15000, what="") => Promise.race([p, new Promise((_, r) => setTimeout(() => r(new Error("TIMEOUT "+what)), ms))]);
async function t(name, f) { try { console.log("==", name, JSON.stringify(await within(f(), 20000, name))); } catch (e) { console.log("!!", name, e.message); } }
const newT = async () => (await client.threads.create()).thread_id;
await t("values+output", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "count" });
  await th.run.start({ input: { until: 3 } });
  const seen = []; for await (const v of th.values) seen.push(v.at);
  const out = await th.output; await th.close(); return { seen, out };
});
await t("no thread id", async () => {
  const th = client.threads.stream({ assistantId: "count" });
  await th.run.start({ input: { until: 1 } });
  const out = await th.output; await th.close(); return { out, id: th.threadId };
});
await t("messages", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "talk" });
  await th.run.start({ input: H });
  const texts = []; for await (const m of th.messages) { const parts=[]; for await (const d of m.text) parts.push(d); texts.push([parts, await m.text]); }
  await th.close(); return texts;
});
await t("toolCalls", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "agent" });
  await th.run.start({ input: H });
  const calls = []; for await (const c of th.toolCalls) { let o; try { o = await c.output } catch (e) { o = "ERR " + e.message } calls.push([c.name, c.input, o, await c.status]); }
  await th.close(); return calls;
});
await t("subgraphs", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "pair" });
  await th.run.start({ input: H });
  const subs = []; for await (const s of th.subgraphs) { const ms = []; for await (const m of s.messages) ms.push(await m.text); subs.push([s.name, s.namespace?.length, ms]); }
  await th.close(); return subs;
});
await t("deep subgraphs", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "deep" });
  await th.run.start({ input: {} });
  const subs = []; for await (const s of th.subgraphs) { const inner=[]; for await (const i of s.subgraphs) inner.push([i.name,i.namespace]); subs.push([s.name, s.namespace, inner]); }
  const tree = await th.agent.getTree();
  await th.close(); return {subs, tree};
});
await t("extensions", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "shown" });
  await th.run.start({ input: { until: 2 } });
  const got = []; for await (const e of th.extensions.progress) got.push(e);
  await th.close(); return got;
});
await t("failure", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "fail" });
  const evs=[]; th.onEvent(e=>{ if(e.method==="lifecycle") evs.push(e.params.data)});
  await th.run.start({ input: {} });
  let out; try { out = await th.output } catch (e) { out = "ERR " + e.message }
  await th.close(); return {out, evs};
});
await t("two runs on a handle", async () => {
  const th = client.threads.stream(await newT(), { assistantId: "count" });
  const terms=[]; th.onEvent(e=>{ if(e.method==="lifecycle") terms.push(e.params.data.event)});
  const sub = await th.subscribe({ channels: ["values"] });
  const seen=[]; 
  await th.run.start({ input: { until: 2 } }); for await (const e of sub) seen.push(e.params ? e.params.data.at : e.at);
  await th.run.start({ input: { until: 4 } }); for await (const e of sub) seen.push(e.params ? e.params.data.at : e.at);
  await th.close(); return { seen, terms };
});
await t("twice", async () => {
  const id = await newT();
  const th = client.threads.stream(id, { assistantId: "twice" });
  const until = async (f) => { for (;;) { const r = f(); if (r) return r; await new Promise(r => setTimeout(r, 30)); } };
  await th.run.start({ input: {} });
  const [a] = await until(() => th.interrupts.length && th.interrupts);
  await th.respondInput({ interrupt_id: a.interruptId, namespace: a.namespace, response: "A" });
  const [b] = await until(() => th.interrupts.length && th.interrupts);
  await th.respondInput({ interrupt_id: b.interruptId, namespace: b.namespace, response: "B" });
  await until(() => !th.interrupted || true); await new Promise(r=>setTimeout(r,700));
  const st = await client.threads.getState(id);
  await th.close(); return { a, b, log: st.values.log };
});
await t("multi", async () => {
  const id = await newT();
  const th = client.threads.stream(id, { assistantId: "multi" });
  const until = async (f) => { for (;;) { const r = f(); if (r) return r; await new Promise(r => setTimeout(r, 30)); } };
  await th.run.start({ input: {} });
  await until(() => th.interrupts.length === 2);
  const rs = th.interrupts.map((i) => ({ interrupt_id: i.interruptId, namespace: i.namespace, response: "r" + i.payload.n }));
  await th.respondInput({ responses: rs });
  await new Promise(r=>setTimeout(r,700));
  const st = await client.threads.getState(id);
  await th.close(); return { log: st.values.log };
});
await t("multi one by one", async () => {
  const id = await newT();
  const th = client.threads.stream(id, { assistantId: "multi" });
  const until = async (f) => { for (;;) { const r = f(); if (r) return r; await new Promise(r => setTimeout(r, 30)); } };
  await th.run.start({ input: {} });
  await until(() => th.interrupts.length === 2);
  const list = [...th.interrupts];
  for (const i of list) { await th.respondInput({ interrupt_id: i.interruptId, namespace: i.namespace, response: "r" + i.payload.n }); await new Promise(r=>setTimeout(r,500)); }
  const st = await client.threads.getState(id);
  await th.close(); return { log: st.values.log, next: st.next };
});
await t("breakpoint", async () => {
  const id = await newT();
  const th = client.threads.stream(id, { assistantId: "stops" });
  await th.run.start({ input: {until: 2} });
  const out = await th.output;
  const i1 = th.interrupted;
  await th.run.start({ input: null });
  const seen=[]; const sub = await th.subscribe({ channels: ["values"] }); for await (const e of sub) seen.push(e.params ? e.params.data.at : e.at);
  await th.close(); return { out, i1, seen };
});
await t("late attach", async () => {
  const id = await newT();
  await client.runs.wait(id, "count", { input: { until: 2 } });
  const th = client.threads.stream(id, { assistantId: "count" });
  const sub = await th.subscribe({ channels: ["values","lifecycle"] });
  const seen=[]; for await (const e of sub) { seen.push(e.method ? [e.method, e.params.data.event ?? e.params.data.at] : e); }
  await th.close(); return seen;
});
await t("fork", async () => {
  const id = await newT();
  await client.runs.wait(id, "count", { input: { until: 3 } });
  const hist = await client.threads.getHistory(id);
  const at = hist.find(h => h.values.at === 1);
  const th = client.threads.stream(id, { assistantId: "count" });
  await th.run.start({ input: { until: 2 }, forkFrom: at.checkpoint.checkpoint_id });
  await new Promise(r=>setTimeout(r,800));
  const st = await client.threads.getState(id); await th.close(); return st.values;
});
process.exit(0);
