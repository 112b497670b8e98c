// Executes one run after another, each with a new useStream on a new thread, and reports what is shown when it is idle.
// The page sends no request between the runs.

import { useMessages, useStream, useToolCalls, useValues } from "@langchain/react";
import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";

const parameters = new URLSearchParams(location.search);
const graphs = parameters.get("graph").split(",");
const runs = Number(parameters.get("runs"));
const STUCK_MS = 10_000;
const LATE_MS = 2_000;

function lastReply(messages) {
  return messages.at(-1)?.type === "ai" ? messages.at(-1).text : "";
}

// Adds subscriptions for messages, values and tool calls, beside those of stream.messages and stream.values.
function Selected({ stream, report }) {
  const messages = useMessages(stream);
  const values = useValues(stream);
  useToolCalls(stream);
  useEffect(() => {
    report({ selected: lastReply(messages), stored: values?.messages?.length ?? 0 });
  });
  return null;
}

function Run({ number, onEnd }) {
  const graph = graphs[number % graphs.length];
  const [thread, setThread] = useState(null);
  const shown = useRef({});
  const hasStarted = useRef(false);
  const stream = useStream({
    apiUrl: parameters.get("server"),
    assistantId: graph,
    threadId: thread,
    transport: parameters.get("transport"),
    onThreadId: setThread,
  });
  const end = (details) => onEnd({ graph, complete: isComplete(), error: stream.error?.message, ...shown.current, ...details });
  const isComplete = () => ["messages", "selected"].every((name) => shown.current[name] === parameters.get("reply"));
  useEffect(() => {
    stream.submit({ messages: [{ type: "human", content: `run ${number}` }] });
    const stuck = setTimeout(() => end({ complete: false, stuck: true, loading: shown.current.loading }), STUCK_MS);
    return () => clearTimeout(stuck);
  }, []);
  useEffect(() => {
    shown.current.messages = lastReply(stream.messages);
    shown.current.loading = stream.isLoading;
    hasStarted.current ||= stream.isLoading;
    if (!hasStarted.current || stream.isLoading) return undefined;
    const late = setTimeout(() => end({}), isComplete() ? 0 : LATE_MS);
    return () => clearTimeout(late);
  });
  return <Selected stream={stream} report={(details) => Object.assign(shown.current, details)} />;
}

function Page() {
  const [reports, setReports] = useState([]);
  if (reports.length === runs) return <pre id="reports">{JSON.stringify(reports)}</pre>;
  return (
    <>
      <p id="done">{reports.length}</p>
      <Run key={reports.length} number={reports.length} onEnd={(report) => setReports((before) => [...before, report])} />
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
