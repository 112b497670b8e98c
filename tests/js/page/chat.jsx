// A chat and approval page as an application would have it. The query has the server and the graph, and also the
// thread, so that it is shown again after a reload.

import { useStream } from "@langchain/langgraph-sdk/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";

const parameters = new URLSearchParams(location.search);

function writeThreadToUrl(id) {
  const query = new URLSearchParams(location.search);
  query.set("thread", id);
  history.replaceState(null, "", `?${query}`);
}

const human = (content) => ({ messages: [{ type: "human", content }] });

function Message({ message, stream }) {
  const [text, setText] = useState(null);
  const metadata = stream.getMessagesMetadata(message);
  const { branch, branchOptions = [] } = metadata ?? {};
  const index = branchOptions.indexOf(branch);
  const send = () => {
    stream.submit(human(text), { checkpoint: metadata.firstSeenState.parent_checkpoint });
    setText(null);
  };
  return (
    <li className={message.type}>
      <span className="text">{message.content}</span>
      {message.type === "human" && text === null && <> <button onClick={() => setText(message.content)}>Edit</button></>}
      {text !== null && (
        <>
          <input aria-label="Edited" value={text} onChange={(event) => setText(event.target.value)} />
          <button onClick={send}>Send edited</button>
        </>
      )}
      {branchOptions.length > 1 && (
        <>
          {" "}
          <button disabled={index === 0} onClick={() => stream.setBranch(branchOptions[index - 1])}>Earlier branch</button>
          {" "}
          <span className="branch">{index + 1} of {branchOptions.length}</span>
        </>
      )}
    </li>
  );
}

function Interrupt({ stream }) {
  const { value } = stream.interrupt;
  const action = value.action_requests?.[0] ?? value; // the actions of a message together, or one interrupt for each call
  const answer = (decision) => (value.action_requests ? { decisions: [decision] } : decision);
  const decide = (type) => stream.submit(undefined, { command: { resume: answer({ type }) } });
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
  const [log, setLog] = useState([]);
  const append = (line) => setLog((before) => [...before, line]);
  const stream = useStream({
    apiUrl: parameters.get("server"),
    assistantId: parameters.get("graph"),
    threadId: thread,
    onThreadId: (id) => {
      writeThreadToUrl(id);
      setThread(id);
    },
    reconnectOnMount: parameters.get("reconnect") === "yes",
    fetchStateHistory: true,
    onCreated: (run) => append(`created ${run.run_id}`),
    onFinish: () => append("finished"),
    onStop: () => append("stopped"),
  });
  const send = (event) => {
    event.preventDefault();
    const input = parameters.get("graph") === "refund_desk" ? JSON.parse(text) : human(text);
    stream.submit(input, { optimisticValues: input });
    setText("");
  };
  const { messages: _messages, __interrupt__, ...values } = stream.values;
  return (
    <>
      <h1>{parameters.get("graph")}</h1>
      <ol id="messages">
        {stream.messages.map((message, index) => <Message key={message.id ?? index} message={message} stream={stream} />)}
      </ol>
      {stream.interrupt?.value && <Interrupt stream={stream} />}
      {stream.error && <p className="error">{String(stream.error.message ?? stream.error)}</p>}
      <form onSubmit={send}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button> <button type="button" onClick={() => stream.stop()}>Stop</button>
      </form>
      <p id="state">{stream.isLoading ? "running" : "idle"}</p>
      <p id="log">{log.join(", ")}</p>
      {Object.keys(values).length > 0 && <pre id="values">{JSON.stringify(values, null, 2)}</pre>}
    </>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
