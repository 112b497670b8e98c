// Shows tool calls, the messages of each subgraph, and the queue of submissions.

import { useMessages, useStream, useSubmissionQueue } from "@langchain/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const parameters = new URLSearchParams(location.search);

function Subgraph({ stream, subgraph }) {
  const messages = useMessages(stream, subgraph);
  return (
    <li className="subgraph">
      {subgraph.nodeName ?? subgraph.namespace.join("/").replace(/:[^/]+/g, "")} {subgraph.status}{" "}
      <span className="text">{messages.map((message) => message.text).join(" | ")}</span>
    </li>
  );
}

function Page() {
  const [thread, setThread] = useState(parameters.get("thread"));
  const [text, setText] = useState("");
  const stream = useStream({
    apiUrl: parameters.get("server"),
    assistantId: parameters.get("graph"),
    threadId: thread,
    onThreadId: setThread,
  });
  const queue = useSubmissionQueue(stream);
  const send = (event) => {
    event.preventDefault();
    const input = parameters.has("input") ? JSON.parse(parameters.get("input")) : { messages: [{ type: "human", content: text }] };
    stream.submit(input, { multitaskStrategy: "enqueue" });
    setText("");
  };
  return (
    <>
      <ol id="messages">
        {stream.messages.map((message, index) => (
          <li key={message.id ?? index} className={message.type}><span className="text">{message.text}</span></li>
        ))}
      </ol>
      <ul id="calls">
        {stream.toolCalls.map(({ id, name, args, status, output, error }) => (
          <li key={id}>{`${name} ${JSON.stringify(args)} ${status} ${output ?? error}`}</li>
        ))}
      </ul>
      <ul id="subgraphs">
        {[...stream.subgraphs.values()].map((subgraph) => (
          <Subgraph key={subgraph.id ?? subgraph.namespace.join("|")} stream={stream} subgraph={subgraph} />
        ))}
      </ul>
      <p id="queue">{queue.size}</p>
      {stream.error && <p className="error">{String(stream.error.message ?? stream.error)}</p>}
      <form onSubmit={send}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
      </form>
      <button onClick={() => setThread(null)}>New thread</button>
      <button onClick={() => setThread(parameters.get("other"))}>Other thread</button>
      <p id="state">{stream.isLoading ? "running" : "idle"}</p>
      <pre id="values">{JSON.stringify(stream.values)}</pre>
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
