// Shows event callbacks, tool calls and tool progress of useStream, switches threads, and joins a run.

import { useStream } from "@langchain/langgraph-sdk/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const parameters = new URLSearchParams(location.search);

function useLines() {
  const [lines, setLines] = useState([]);
  return [lines, (line) => setLines((before) => [...before, line])];
}

function List({ id, lines }) {
  return <ul id={id}>{lines.map((line, index) => <li key={index}>{line}</li>)}</ul>;
}

function Page() {
  const [thread, setThread] = useState(parameters.get("thread"));
  const [text, setText] = useState("");
  const [custom, addCustom] = useLines();
  const [tools, addTool] = useLines();
  const [log, addToLog] = useLines();
  const stream = useStream({
    apiUrl: parameters.get("server"),
    assistantId: parameters.get("graph"),
    threadId: thread,
    onThreadId: setThread,
    fetchStateHistory: false,
    onCustomEvent: (data, { namespace } = {}) => addCustom(`${namespace?.length ?? 0} ${JSON.stringify(data)}`),
    onToolEvent: (data) => addTool(`${data.event} ${data.name}`),
    onError: (error) => addToLog(`error ${error.message}`),
    onFinish: (state, run) => addToLog(`finished ${state?.values?.messages?.length} ${run?.thread_id?.length}`),
  });
  const send = (event) => {
    event.preventDefault();
    const message = { type: "human", content: text };
    const optimisticValues = (before) => ({ messages: [...(before.messages ?? []), { ...message, id: "optimistic" }] });
    stream.submit({ messages: [message] }, { optimisticValues, streamSubgraphs: true });
    setText("");
  };
  const calls = (stream.toolCalls ?? []).map(({ call, state }) => `${call.name} ${JSON.stringify(call.args)} ${state}`);
  return (
    <>
      <ol id="messages">
        {stream.messages.map((message, index) => (
          <li key={message.id ?? index} className={message.type}><span className="text">{message.content}</span></li>
        ))}
      </ol>
      <List id="custom" lines={custom} />
      <List id="tools" lines={tools} />
      <List id="progress" lines={(stream.toolProgress ?? []).map(({ name, state }) => `${name} ${state}`)} />
      <List id="calls" lines={calls} />
      <List id="log" lines={log} />
      {stream.error && <p className="error">{String(stream.error.message ?? stream.error)}</p>}
      <form onSubmit={send}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
      </form>
      <button onClick={() => setThread(null)}>New thread</button>
      <button onClick={() => setThread(parameters.get("other"))}>Other thread</button>
      <button onClick={() => stream.joinStream(parameters.get("run"))}>Join</button>
      <p id="state">{stream.isLoading ? "running" : "idle"}</p>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
