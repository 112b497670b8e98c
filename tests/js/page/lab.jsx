// A page that shows what else useStream gives: events as they come, tool calls, threads to switch between, runs to join.

import { useStream } from "@langchain/langgraph-sdk/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const asked = new URLSearchParams(location.search);

function useLines() {
  const [lines, setLines] = useState([]);
  return [lines, (line) => setLines((before) => [...before, line])];
}

function List({ id, lines }) {
  return <ul id={id}>{lines.map((line, place) => <li key={place}>{line}</li>)}</ul>;
}

function Page() {
  const [thread, setThread] = useState(asked.get("thread"));
  const [text, setText] = useState("");
  const [custom, heardCustom] = useLines();
  const [tools, heardTool] = useLines();
  const [told, tell] = useLines();
  const stream = useStream({
    apiUrl: asked.get("server"),
    assistantId: asked.get("graph"),
    threadId: thread,
    onThreadId: setThread,
    fetchStateHistory: false,
    onCustomEvent: (data, { namespace } = {}) => heardCustom(`${namespace?.length ?? 0} ${JSON.stringify(data)}`),
    onToolEvent: (data) => heardTool(`${data.event} ${data.name}`),
    onError: (error) => tell(`error ${error.message}`),
    onFinish: (state, run) => tell(`finished ${state?.values?.messages?.length} ${run?.thread_id?.length}`),
  });
  const send = (event) => {
    event.preventDefault();
    const said = { type: "human", content: text };
    const optimisticValues = (before) => ({ messages: [...(before.messages ?? []), { ...said, id: "optimistic" }] });
    stream.submit({ messages: [said] }, { optimisticValues, streamSubgraphs: true });
    setText("");
  };
  const calls = (stream.toolCalls ?? []).map(({ call, state }) => `${call.name} ${JSON.stringify(call.args)} ${state}`);
  return (
    <>
      <ol id="messages">
        {stream.messages.map((message, place) => (
          <li key={message.id ?? place} className={message.type}><span className="text">{message.content}</span></li>
        ))}
      </ol>
      <List id="custom" lines={custom} />
      <List id="tools" lines={tools} />
      <List id="progress" lines={(stream.toolProgress ?? []).map(({ name, state }) => `${name} ${state}`)} />
      <List id="calls" lines={calls} />
      <List id="told" lines={told} />
      {stream.error && <p className="error">{String(stream.error.message ?? stream.error)}</p>}
      <form onSubmit={send}>
        <input aria-label="Say" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
      </form>
      <button onClick={() => setThread(null)}>New thread</button>
      <button onClick={() => setThread(asked.get("other"))}>Other thread</button>
      <button onClick={() => stream.joinStream(asked.get("run"))}>Join</button>
      <p id="state">{stream.isLoading ? "running" : "idle"}</p>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
