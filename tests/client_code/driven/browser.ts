// Talks to the example project in a browser, through a proxy that cuts all connections when it is asked for /cut.
import { bearer, createClient, isError, ProblemError, unwrap } from "./example/client.js";

export type Answer = Record<string, unknown>;

function check(truth: unknown, words: string): asserts truth {
  if (!truth) throw new Error(words);
}

const cut = (): Promise<unknown> => fetch("/cut").catch(() => undefined);

async function logIn(username: string) {
  const { token } = await unwrap(
    createClient().POST("/auth/login", { body: { username, password: `${username}-password` } }),
  );
  return createClient({ credentials: bearer(token), ticket: "/auth/ticket" });
}

/** Reads and writes with types, and errors as problem details. */
export async function calls(): Promise<Answer> {
  const anonymous = createClient();
  const refused = await anonymous.GET("/me");
  const api = await logIn("admin");
  const account = await unwrap(api.GET("/me"));
  const lamp = { name: "Browser lamp", price: "9.50", category: "kitchen", size: "small" } as const;
  const made = await unwrap(api.POST("/products", { body: lamp }));
  const path = { product_id: made.id };
  const image = new File([Uint8Array.from(atob(DOT), (letter) => letter.charCodeAt(0))], "dot.png", { type: "image/png" });
  const shown = await unwrap(api.PUT("/products/{product_id}/image", { params: { path }, body: { image } }));
  const faults = await unwrap(api.POST("/products", { body: { ...lamp, name: "", price: "x" } })).catch(
    (error: unknown) => error,
  );
  check(faults instanceof ProblemError, "a 422 is thrown");
  const removed = await api.DELETE("/products/{product_id}", { params: { path } });
  const gone = await api.GET("/products/{product_id}", { params: { path } });
  return {
    refused: refused.error?.status,
    username: account.username,
    price: made.price,
    image: shown.image !== null,
    faults: [faults.status, faults.faultsAt("body", "name").length, faults.faultsAt("body", "price").length],
    removed: removed.response.status,
    gone: gone.error?.title,
    aborted: await api.GET("/products", { signal: AbortSignal.abort() }).catch((error: Error) => error.name),
  };
}

const DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";

/** Follows a room whose connection is lost, and leaves it. */
export async function room(): Promise<Answer> {
  const [admin, demo] = [await logIn("admin"), await logIn("demo")];
  const params = { path: { name: "browser" } };
  const say = (text: string) => unwrap(demo.POST("/live/rooms/{name}", { params, body: { text } }));
  const states: string[] = [];
  const lines: string[] = [];
  let joined = "";
  await say("before");
  const following = admin.follow("/live/rooms/{name}", { params, history: true, onState: (state) => states.push(state) });
  for await (const frame of following) {
    if (isError(frame)) throw new Error(frame.title);
    else if ("joined" in frame) joined = frame.joined.user;
    else if ("gap" in frame) lines.push(`gap ${frame.gap.missed}`);
    else if ("data" in frame) {
      lines.push(`${frame.data.by}: ${frame.data.text}`);
      if (frame.data.text === "before") await say("now");
      else if (frame.data.text === "now") {
        await cut();
        await say("meanwhile");
      } else break;
    }
  }
  const later = admin.follow("/live/rooms/{name}", { params, since: following.offset! });
  await say("after");
  for await (const frame of later) {
    if (!("data" in frame)) continue;
    lines.push(frame.data.text);
    break;
  }
  return { states, lines, joined: joined !== "", later: later.state };
}

/** Reads events, loses the stream, and goes on behind the last one. */
export async function events(): Promise<Answer> {
  const api = createClient();
  const ids: number[] = [];
  const stop = new AbortController();
  const params = { query: { pause: 0.02 } };
  for await (const { event, data, id } of api.events("/prices", { params, signal: stop.signal })) {
    check(event === "price" && data.product === Number(id) && /^\d+\.\d\d$/.test(data.price), `an event ${event} of ${id}`);
    ids.push(Number(id));
    if (ids.length === 5) await cut();
    if (ids.length === 12) stop.abort();
  }
  const refused = api.events("/prices", { params: { query: { pause: 99 } } });
  const error = await refused.next().catch((problem: unknown) => problem);
  return { ids, refused: error instanceof ProblemError && error.faultsAt("query", "pause") };
}

/** What ends a connection for good, and what is thrown then. */
export async function refusals(): Promise<Answer> {
  const params = { path: { name: "browser" } };
  const anonymous = createClient({ ticket: "/auth/ticket" }).follow("/live/rooms/{name}", { params });
  const error = await anonymous[Symbol.asyncIterator]().next().catch((problem: unknown) => problem);
  const unticketed = createClient().follow("/live/rooms/{name}", { params, reconnect: false });
  const ended = await unticketed[Symbol.asyncIterator]().next().catch((problem: Error) => problem.name);
  const aborted = createClient().follow("/live/rooms/{name}", { params, signal: AbortSignal.abort() });
  const over = await aborted[Symbol.asyncIterator]().next();
  return { ticket: error instanceof ProblemError && error.status, ended, over: over.done };
}
