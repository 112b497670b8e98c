// Takes the place of Agent Chat UI's module of this name: the stream of the page is in the context.

import { createContext, useContext } from "react";

export const StreamContext = createContext(undefined);
export const useStreamContext = () => useContext(StreamContext);
