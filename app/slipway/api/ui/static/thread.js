// The page of a thread: renders its state.

import { byId, pageData } from "./dom.js";
import { renderState } from "./values.js";

byId("values").replaceChildren(renderState(pageData().values ?? null, []));
