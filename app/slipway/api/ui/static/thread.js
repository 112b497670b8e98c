// The state of a thread, readable.

import { byId, pageData } from "./dom.js";
import { result } from "./values.js";

byId("values").replaceChildren(result(pageData().values ?? null, []));
