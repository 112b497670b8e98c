// One run after the other, each of a fresh useStream on a fresh thread: what each shows once it is idle again. The
// page asks for nothing between the runs, so a round takes as long as its run.

import { useMessages, useStream, useToolCalls, useValues } from "@langchain/react";
import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";

const asked = new URLSearchParams(location.search);
const graphs = asked.get("graph").split(",");
const rounds = Number(asked.get("rounds"));
const STUCK_MS = 10_000;
const LATE_MS = 2_000;

function last(messages) {
  return messages.at(-1)?.type === "ai" ? messages.at(-1).text : "";
}

// Subscribes to what stream.messages and stream.values come from, and to tool calls: several subscriptions.
function Selected({ stream, report }) {
  const messages = useMessages(stream);
  const values = useValues(stream);
  useToolCalls(stream);
  useEffect(() => {
    report({ selected: last(messages), kept: values?.messages?.length ?? 0 });
  });
  return null;
}

function Round({ number, onEnd }) {
  const graph = graphs[number % graphs.length];
  const [thread, setThread] = useState(null);
  const shown = useRef({});
  const ran = useRef(false);
  const stream = useStream({
    apiUrl: asked.get("server"),
    assistantId: graph,
    threadId: thread,
    transport: asked.get("transport"),
    onThreadId: setThread,
  });
  const end = (more) => onEnd({ graph, whole: whole(), error: stream.error?.message, ...shown.current, ...more });
  const whole = () => ["messages", "selected"].every((name) => shown.current[name] === asked.get("answer"));
  useEffect(() => {
    stream.submit({ messages: [{ type: "human", content: `round ${number}` }] });
    const stuck = setTimeout(() => end({ whole: false, stuck: true, loading: shown.current.loading }), STUCK_MS);
    return () => clearTimeout(stuck);
  }, []);
  useEffect(() => {
    shown.current.messages = last(stream.messages);
    shown.current.loading = stream.isLoading;
    ran.current ||= stream.isLoading;
    if (!ran.current || stream.isLoading) return undefined;
    const late = setTimeout(() => end({}), whole() ? 0 : LATE_MS);
    return () => clearTimeout(late);
  });
  return <Selected stream={stream} report={(more) => Object.assign(shown.current, more)} />;
}

function Page() {
  const [ended, setEnded] = useState([]);
  if (ended.length === rounds) return <pre id="rounds">{JSON.stringify(ended)}</pre>;
  return (
    <>
      <p id="round">{ended.length}</p>
      <Round key={ended.length} number={ended.length} onEnd={(round) => setEnded((before) => [...before, round])} />
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
