// The page of chat.jsx with @langchain/react, which uses the event protocol and rejoins threads by itself.

import { useMessageMetadata, useStream } from "@langchain/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const parameters = new URLSearchParams(location.search);
const server = parameters.get("server");

function writeThreadToUrl(id) {
  const query = new URLSearchParams(location.search);
  query.set("thread", id);
  history.replaceState(null, "", `?${query}`);
}

const human = (content) => ({ messages: [{ type: "human", content }] });

function Message({ message, stream }) {
  const [text, setText] = useState(null);
  const { parentCheckpointId } = useMessageMetadata(stream, message.id) ?? {};
  const send = () => {
    stream.submit(human(text), { forkFrom: parentCheckpointId });
    setText(null);
  };
  return (
    <li className={message.type}>
      <span className="text">{message.text}</span>
      {parentCheckpointId && text === null && <> <button onClick={() => setText(message.text)}>Edit</button></>}
      {text !== null && (
        <>
          <input aria-label="Edited" value={text} onChange={(event) => setText(event.target.value)} />
          <button onClick={send}>Send edited</button>
        </>
      )}
    </li>
  );
}

function Interrupt({ stream }) {
  const { id, value } = stream.interrupt;
  const action = value.action_requests?.[0] ?? value; // the actions of a message together, or one interrupt for each call
  const answer = (decision) => (value.action_requests ? { decisions: [decision] } : decision);
  // Without an id, the client answers the newest interrupt whose event it has received, and after a reload it has none yet
  const decide = (type) => stream.respond(answer({ type }), { interruptId: id });
  return (
    <section className="interrupt" aria-label="Approval">
      <p>{action.name} {JSON.stringify(action.args)}</p>
      <button onClick={() => decide("approve")}>Approve</button> <button onClick={() => decide("reject")}>Reject</button>
    </section>
  );
}

function Page() {
  const [thread, setThread] = useState(parameters.get("thread"));
  const [text, setText] = useState("");
  const stream = useStream({
    apiUrl: server,
    assistantId: parameters.get("graph"),
    threadId: thread,
    transport: parameters.get("transport") ?? "sse",
    onThreadId: (id) => {
      writeThreadToUrl(id);
      setThread(id);
    },
  });
  const send = (event) => {
    event.preventDefault();
    stream.submit(parameters.get("graph") === "refund_desk" ? JSON.parse(text) : human(text));
    setText("");
  };
  const { messages: _messages, __interrupt__, ...values } = stream.values;
  return (
    <>
      <h1>{parameters.get("graph")}</h1>
      <ol id="messages">
        {stream.messages.map((message, index) => <Message key={message.id ?? index} message={message} stream={stream} />)}
      </ol>
      {stream.interrupt && <Interrupt stream={stream} />}
      {stream.error && <p className="error">{String(stream.error.message ?? stream.error)}</p>}
      <form onSubmit={send}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button> <button type="button" onClick={() => stream.stop()}>Stop</button>
      </form>
      <p id="state">{stream.isLoading ? "running" : "idle"}</p>
      {Object.keys(values).length > 0 && <pre id="values">{JSON.stringify(values, null, 2)}</pre>}
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
