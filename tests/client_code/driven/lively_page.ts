// Talks in a browser to the routes of lively.py: forms, sessions, and all kinds of what stays connected.
import { createClient, isError, session, unwrap, type StreamState } from "./lively/client.js";

export type Answer = Record<string, unknown>;

const api = createClient();
const first = async <In>(connection: AsyncIterable<In>): Promise<In | undefined> => {
  for await (const message of connection) return message;
  return undefined;
};
const failure = async <In>(connection: AsyncIterable<In>): Promise<Error | undefined> => {
  try {
    for await (const _ of connection);
  } catch (error) {
    return error as Error;
  }
  return undefined;
};

/** Bodies that are no JSON, paths with slashes, several statuses, and Django's CSRF token. */
export async function bodies(): Promise<Answer> {
  const blob = new Blob(["abc"]);
  const body = { title: "Two", tags: ["a", "b"], shape: { type: "circle", radius: 1.5 } as const, file: blob, more: [blob, blob] };
  const uploaded = await unwrap(api.POST("/uploads", { body }));
  const raw = await unwrap(api.PUT("/raw", { body: new Blob(["12345"]) }));
  const params = { path: { rest: "a/b c/ü" } };
  const bytes = await unwrap(api.GET("/bytes", { parseAs: "blob" }));
  const replaced = await api.PUT("/trees/{name}", { params: { path: { name: "oak" } }, body: { name: "oak" } });
  const bare = await api.POST("/trees", { body: { name: "oak" } });
  const member = createClient({ credentials: session() });
  const refused = await member.POST("/guarded");
  await unwrap(member.GET("/auth/csrf"));
  return {
    uploaded,
    raw,
    whole: await unwrap(api.GET("/whole/{rest}", { params })),
    bytes: Array.from(new Uint8Array(await bytes.arrayBuffer())),
    untold: (await unwrap(api.GET("/bytes"))) instanceof Blob,
    statuses: [replaced.response.status, bare.response.status, refused.response.status],
    bare: bare.data === undefined,
    guarded: await unwrap(member.POST("/guarded")),
  };
}

/** Messages of every kind. */
export async function talk(): Promise<Answer> {
  const chat = api.connect("/chat/{room}", { params: { path: { room: "a b" }, query: { loud: true } } });
  chat.send({ type: "say", text: "tea" }); // before it is open
  chat.send({ type: "say", text: "plain" });
  chat.send({ type: "ask", text: "why" });
  chat.send({ type: "say" } as never);
  const heard: unknown[] = [];
  for await (const message of chat) {
    heard.push(isError(message) ? [message.status, message.errors?.[0]?.loc ?? []] : message);
    if (heard.length === 4) chat.close();
  }
  const text = api.connect("/text/{rest}", { params: { path: { rest: "x/y" } } });
  text.send("5");
  const binary = api.connect("/binary");
  binary.send(new Uint8Array([1, 2, 3]).buffer);
  const words = api.connect("/words");
  words.send({ type: "say", text: "two words" });
  const anything = api.connect("/anything");
  anything.send("7");
  const decode = (data: Uint8Array) => ({ done: data.at(-1) }); // enough for `{"done": 1}`
  const packed = createClient({ msgpack: { decode, encode: () => new Uint8Array() } }).connect("/packed");
  const steps: unknown[] = [];
  for await (const step of packed) steps.push(step);
  let missing = "";
  try {
    api.connect("/packed");
  } catch (error) {
    missing = (error as Error).message;
  }
  return {
    heard,
    closed: chat.state,
    text: await first(text),
    binary: Array.from(new Uint8Array((await first(binary)) as ArrayBuffer)),
    words: await first(words),
    anything: await first(anything),
    steps,
    missing,
  };
}

/** What each close code makes of a connection. */
export async function closes(): Promise<Answer> {
  const end = async (code: number) => {
    let onState: (state: StreamState) => void = () => undefined;
    const waits = new Promise<string>((resolve) => (onState = (state) => state === "waiting" && resolve(state)));
    const connection = api.connect("/closes/{code}", { params: { path: { code } }, onState });
    const ended = failure(connection).then((error) => (error ? `${error.name}: ${error.message}` : "over"));
    const answer = await Promise.race([ended, waits]);
    connection.close();
    return answer;
  };
  const codes = [1000, 1001, 1008, 1011, 1012, 4401, 4403, 4404, 4408, 4422, 4429, 4503, 4599];
  return Object.fromEntries(await Promise.all(codes.map(async (code) => [code, await end(code)] as const)));
}

/** A connection that is opened again. */
export async function comesBack(): Promise<Answer> {
  const states: StreamState[] = [];
  const again = api.connect("/closes/{code}", { params: { path: { code: 1001 } }, onState: (state) => states.push(state) });
  let count = 0;
  for await (const message of again) {
    if (!isError(message) && message.text === "here") count += 1;
    if (count === 2) break;
  }
  return { states: states.slice(0, 5), last: again.state };
}

/** A channel: what it still has, and what came after an offset. */
export async function channel(): Promise<Answer> {
  const params = { path: { topic: `topic-${Date.now()}` } };
  const publish = (text: string) => unwrap(api.POST("/news/{topic}", { params, body: { text } }));
  for (const text of ["one", "two", "three"]) await publish(text);
  const read = async (init: { history?: boolean; since?: string }, count: number) => {
    const following = api.follow("/news/{topic}", { params, ...init });
    const found: unknown[] = [];
    for await (const frame of following) {
      if ("data" in frame) found.push(frame.data.text);
      else if ("gap" in frame) found.push(frame.gap);
      if (found.length === count) break;
    }
    return [found, following.offset] as const;
  };
  const [all] = await read({ history: true }, 3);
  const stop = new AbortController();
  const seen: unknown[] = [];
  let id = "";
  for await (const event of api.events("/news/{topic}/events", { params, signal: stop.signal, onState: (state) => state === "open" && void publish("four") })) {
    seen.push([event.event, event.data]);
    id = event.id;
    stop.abort();
  }
  await publish("five");
  for await (const event of api.events("/news/{topic}/events", { params, lastEventId: id })) {
    seen.push([event.event, event.data]);
    break;
  }
  const [after] = await read({ since: id }, 1);
  const [foreign] = await read({ since: "nobody-knows-1" }, 2);
  return { all, seen, after, foreign };
}

/** Events without a type, of several types, and of a server that has too much to do. */
export async function events(): Promise<Answer> {
  const untyped: unknown[] = [];
  for await (const event of api.events("/untyped", { reconnect: false })) untyped.push(event);
  const progress: unknown[] = [];
  for await (const { data } of api.events("/progress", { reconnect: false })) progress.push(data);
  const busy: unknown[] = [];
  const states: StreamState[] = [];
  for await (const { data, id } of api.events("/busy", { onState: (state) => states.push(state) })) {
    busy.push([data.done, id]);
    if (busy.length === 2) break;
  }
  return { untyped, progress, busy, states };
}
