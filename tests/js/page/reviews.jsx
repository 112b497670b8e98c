// A page that shows the questions of a run in every shape, and answers them as applications do. Requests of the agent
// inbox are answered by the hook of Agent Chat UI itself.

import { useStream } from "@langchain/langgraph-sdk/react";
import useInterruptedActions from "agent-chat-ui/components/thread/agent-inbox/hooks/use-interrupted-actions";
import { isAgentInboxInterruptSchema } from "agent-chat-ui/lib/agent-inbox-interrupt";
import { useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { StreamContext } from "./agent_chat/Stream.jsx";

const parameters = new URLSearchParams(location.search);

function Inbox({ interrupt }) {
  const request = useMemo(() => [interrupt.value].flat()[0], [interrupt.id]);
  const { humanResponse, setHumanResponse, setSelectedSubmitType, handleSubmit, handleIgnore } = useInterruptedActions({ interrupt: request });
  const change = (type, changed) => {
    setSelectedSubmitType(type);
    setHumanResponse((before) => before.map((response) => (response.type === type ? { ...response, ...changed } : response)));
  };
  const edit = (amount) => change("edit", { args: { ...request.action_request, args: { ...request.action_request.args, amount: Number(amount) } }, editsMade: true });
  return (
    <section className="interrupt" aria-label="Inbox">
      <p>{request.description}</p>
      <label>Amount <input onChange={(event) => edit(event.target.value)} /></label>
      <label>Response <input onChange={(event) => change("response", { args: event.target.value })} /></label>
      <button onClick={handleSubmit} disabled={!humanResponse.length}>Submit</button> <button onClick={handleIgnore}>Ignore</button>
    </section>
  );
}

function Batched({ interrupt, stream }) {
  const requests = interrupt.value.action_requests;
  // As Agent Chat UI answers: with an empty input, and a decision for each request.
  const send = (decisions) => stream.submit({}, { command: { resume: { decisions } } });
  const edited = { name: requests[0].name, args: { ...requests[0].args, amount: 5 } };
  return (
    <section className="interrupt" aria-label="Batched">
      {requests.map((request) => <p key={request.name}>{request.name}</p>)}
      <button onClick={() => send(requests.map(() => ({ type: "approve" })))}>Approve all</button>{" "}
      <button onClick={() => send([{ type: "edit", edited_action: edited }, { type: "reject", message: "no mail" }])}>Edit and reject</button>{" "}
      <button onClick={() => send([{ type: "approve" }])}>Answer one</button>
    </section>
  );
}

function PerCall({ interrupts, stream }) {
  const [decisions, setDecisions] = useState({});
  const decide = (id, decision) => setDecisions((before) => ({ ...before, [id]: decision }));
  return (
    <section className="interrupt" aria-label="Per call">
      {interrupts.map(({ id, value }) => (
        <fieldset key={id}>
          <legend>{value.name}</legend>
          <button onClick={() => decide(id, { type: "approve" })}>Approve {value.name}</button>{" "}
          <button onClick={() => decide(id, { type: "reject", message: "not today" })}>Reject {value.name}</button>
        </fieldset>
      ))}
      <button onClick={() => stream.submit(undefined, { command: { resume: decisions } })}>Send</button>
    </section>
  );
}

function Free({ interrupt, stream }) {
  const [text, setText] = useState("");
  return (
    <section className="interrupt" aria-label="Free">
      <p>{interrupt.value.question}</p>
      <label>Answer <input value={text} onChange={(event) => setText(event.target.value)} /></label>
      <button onClick={() => stream.submit(undefined, { command: { resume: { amount: JSON.parse(text) } } })}>Send</button>
    </section>
  );
}

function Interrupts({ stream }) {
  const interrupts = stream.interrupts ?? [stream.interrupt].flat();
  const [first] = interrupts.filter((each) => each?.value);
  if (!first) return null;
  if (isAgentInboxInterruptSchema(first.value)) return <Inbox interrupt={first} />;
  if (first.value.action_requests) return <Batched interrupt={first} stream={stream} />;
  if (first.value.type === "tool_approval") return <PerCall interrupts={interrupts} stream={stream} />;
  return <Free interrupt={first} stream={stream} />;
}

function Page() {
  const [thread, setThread] = useState(parameters.get("thread"));
  const stream = useStream({ apiUrl: parameters.get("server"), assistantId: parameters.get("graph"), threadId: thread, onThreadId: setThread, fetchStateHistory: true });
  const start = () => stream.submit({ messages: [{ type: "human", content: "go" }], topic: "x" });
  const { messages = [], answer } = stream.values;
  return (
    <StreamContext.Provider value={stream}>
      <h1>{parameters.get("graph")}</h1>
      <button onClick={start}>Start</button>
      <Interrupts stream={stream} />
      {stream.error && <p className="error">{String(stream.error.message ?? stream.error)}</p>}
      <p id="state">{stream.isLoading ? "running" : "idle"}</p>
      <p id="last">{messages.at(-1)?.content}</p>
      <pre id="answer">{JSON.stringify(answer)}</pre>
    </StreamContext.Provider>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
