import createFetchClient, { type Client as FetchClient, type ParamsOption } from "openapi-fetch";
import type { paths as sockets } from "./realtime.js";
import type { paths } from "./schema.js";

export type * as realtime from "./realtime.js";
export type { components, operations, paths } from "./schema.js";

// --- errors ----------------------------------------------------------------------------------------------------------

/** One fault of a request: where it is (`["body", "name"]`), and what is wrong. */
export interface Fault {
  loc: (string | number)[];
  msg: string;
  type: string;
}

/** The body of every error. SPEC: RFC 9457. */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail?: unknown;
  /** Every fault of the request, with a 422. */
  errors?: Fault[];
  [member: string]: unknown;
}

/** An answer with a status of 400 or more, thrown by `unwrap`, by streams and where a ticket is refused. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly problem: ProblemDetails;
  readonly response: Response;

  constructor(response: Response, body: unknown) {
    const problem = toProblem(response, body);
    super(typeof problem.detail === "string" ? problem.detail : problem.title);
    this.problem = problem;
    this.response = response;
  }

  get status(): number {
    return this.problem.status;
  }

  /** What is wrong with one input: `error.faultsAt("body", "name")`. */
  faultsAt(...loc: (string | number)[]): string[] {
    return (this.problem.errors ?? []).filter((fault) => fault.loc.join("\n") === loc.join("\n")).map(({ msg }) => msg);
  }
}

function toProblem(response: Response, body: unknown): ProblemDetails {
  const known = isObject(body) ? body : body ? { detail: body } : {}; // a proxy may answer with text
  return { type: "about:blank", title: response.statusText || `Status ${response.status}`, status: response.status, ...known };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type DataOf<Answer> = Answer extends { error?: never; data: infer Data } ? Data : never;

/** Return the data of an answer, or throw its problem: `const product = await unwrap(api.GET(...))`. */
export async function unwrap<Answer extends { data?: unknown; error?: unknown; response: Response }>(
  answer: Promise<Answer>,
): Promise<DataOf<Answer>> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new ProblemError(response, error);
  return data as DataOf<Answer>;
}

/** A connection has ended for good, by a close code that says: do not come back as you are. */
export class ConnectionEnded extends Error {
  override readonly name = "ConnectionEnded";
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string) {
    super(reason || `The connection was closed with ${code}.`);
    this.code = code;
    this.reason = reason;
  }
}

// --- credentials -----------------------------------------------------------------------------------------------------

type MaybePromise<T> = T | Promise<T>;
type Token = string | (() => MaybePromise<string | null | undefined>);

/** Who asks: `bearer(...)`, `session()` or an object of your own. */
export interface Credentials {
  /** Headers of each request. */
  headers?(method: string): MaybePromise<Record<string, string>>;
  /** Whether requests carry cookies to another origin than the page's. */
  cookies?: RequestCredentials;
}

const read = async (token: Token): Promise<string | null | undefined> => (typeof token === "string" ? token : token());

/** A token in `Authorization`; a function is asked with each request, so that it may be there later, or change. */
export function bearer(token: Token, scheme = "Bearer"): Credentials {
  return {
    async headers() {
      const text = await read(token);
      return text ? { Authorization: `${scheme} ${text}` } : ({} as Record<string, string>);
    },
  };
}

/** A key in a header of its own. */
export function apiKey(key: Token, header = "X-API-Key"): Credentials {
  return {
    async headers() {
      const text = await read(key);
      return text ? { [header]: text } : ({} as Record<string, string>);
    },
  };
}

/** Django's session: cookies, and the CSRF token, of its cookie or of a function, with all that may change something. */
export function session(csrfToken: Token = csrfCookie): Credentials {
  return {
    cookies: "include",
    async headers(method) {
      const text = /^(GET|HEAD|OPTIONS|TRACE)$/.test(method) ? "" : await read(csrfToken);
      return text ? { [CSRF.header]: text } : ({} as Record<string, string>);
    },
  };
}

function csrfCookie(): string | undefined {
  const pairs = document.cookie.split("; ").map((pair) => pair.split("="));
  const found = pairs.find(([name]) => name === CSRF.cookie)?.[1];
  return found === undefined ? undefined : decodeURIComponent(found);
}

// --- the client ------------------------------------------------------------------------------------------------------

type TicketAnswer = { responses: { 201: { content: { "application/json": { ticket: string } } } } };

/** Paths that give tickets for websockets. */
export type TicketPath = { [Path in keyof paths]: paths[Path] extends { post: TicketAnswer } ? Path : never }[keyof paths];

export interface ClientOptions {
  /** Where the API is; the page's own origin by default. */
  baseUrl?: string;
  credentials?: Credentials;
  /** The path that gives tickets to `credentials`, which browsers cannot send with websockets themselves. */
  ticket?: TicketPath;
  fetch?: (request: Request) => Promise<Response>;
  /** The class of websockets, where there is none in `globalThis`. */
  WebSocket?: typeof WebSocket;
  /** What writes and reads the frames of websockets with `mode="msgpack"`: the package `@msgpack/msgpack`, for one. */
  msgpack?: { encode(value: unknown): Uint8Array<ArrayBuffer>; decode(data: Uint8Array): unknown };
}

/** The methods of openapi-fetch, and the streams and websockets of the API. */
export interface Client extends FetchClient<paths> {
  /** Read Server-Sent Events: `for await (const event of api.events("/prices"))`. A lost stream is resumed. */
  events<Path extends EventPath>(path: Path, ...init: Init<EventsInit<Path>>): AsyncGenerator<EventOf<Path>, void, void>;
  /** Open a websocket. It is opened again when it is lost, but by the codes that forbid it. */
  connect<Path extends SocketPath>(path: Path, ...init: Init<SocketInit<Path>>): Connection<Sent<Path>, Received<Path>>;
  /** Follow a channel: as `connect`, resumed behind the last message that was read. */
  follow<Path extends ChannelPath>(path: Path, ...init: Init<FollowInit<Path>>): Connection<never, Received<Path>>;
}

type Required_<T> = { [Key in keyof T]-?: {} extends Pick<T, Key> ? never : Key }[keyof T];
type Init<Options> = Required_<Options> extends never ? [init?: Options] : [init: Options];

/** Make a client of the API. */
export function createClient(options: ClientOptions = {}): Client {
  const { baseUrl = "", credentials = {} } = options;
  const http = createFetchClient<paths>({
    baseUrl,
    pathSerializer: writePath,
    ...(credentials.cookies && { credentials: credentials.cookies }),
    ...(options.fetch && { fetch: options.fetch }),
  });
  http.use({
    async onRequest({ request }) {
      const headers = await credentials.headers?.(request.method);
      for (const [name, value] of Object.entries(headers ?? {})) request.headers.set(name, value);
      return request;
    },
    /** openapi-fetch reads all answers as JSON; what is text is one, too, once it is quoted. */
    async onResponse({ response, options: { parseAs } }) {
      const isText = /^text\/(?!event-stream)/.test(response.headers.get("Content-Type") ?? "");
      if (!response.ok || parseAs !== "json" || !isText) return undefined;
      const { headers, status, statusText } = response;
      return new Response(JSON.stringify(await response.text()), { headers, status, statusText });
    },
  });
  const client = { ...http } as Client;
  for (const method of METHODS) {
    const call = http[method] as (path: string, init: object) => Promise<unknown>;
    const adapted = (path: string, init: object = {}) => call(path, withUsual(method, path, init));
    Object.assign(client, { [method]: adapted });
  }
  return Object.assign(client, {
    events: (path: string, init: AnyInit = {}) => readEvents(http, path, init),
    connect: (path: string, init: AnyInit = {}) => new Connection(new Road(http, options, path, init), init),
    follow: (path: string, init: AnyInit = {}) => new Connection(new Road(http, options, path, init), init),
  }) as unknown as Client;
}

const METHODS = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"] as const;

/** What an operation has other than JSON: forms are written as such, files read as what they are. */
function withUsual(method: string, path: string, init: { headers?: HeadersInit }): object {
  const { body, parseAs } = OPERATIONS[`${method} ${path}`] ?? {};
  const usual = { ...(body === "multipart" && { bodySerializer: toFormData }), ...(parseAs && { parseAs }), ...init };
  if (body !== "raw") return usual;
  const headers = new Headers(init.headers);
  if (!headers.has("Content-Type")) headers.set("Content-Type", "application/octet-stream");
  return { bodySerializer: (data: BodyInit) => data, ...usual, headers };
}

function fields(body: object): [string, Exclude<unknown, null | undefined>][] {
  const entries = Object.entries(body).flatMap(([name, value]) => [value].flat().map((one): [string, unknown] => [name, one]));
  return entries.filter((entry): entry is [string, {}] => entry[1] !== undefined && entry[1] !== null);
}

const toText = (value: unknown): string => (typeof value === "object" ? JSON.stringify(value) : String(value));

function toFormData(body: object): FormData {
  const form = new FormData();
  for (const [name, value] of fields(body)) form.append(name, value instanceof Blob ? value : toText(value));
  return form;
}

/** Fill in a path; parameters of the converter `path` keep their slashes. */
function writePath(path: string, values: Record<string, unknown> = {}): string {
  return path.replace(/\{([^{}]+)\}/g, (_, name: string) => {
    const text = encodeURIComponent(String(values[name]));
    return WHOLE_PATHS.has(`${path} ${name}`) ? text.replaceAll("%2F", "/") : text;
  });
}

// --- coming back -----------------------------------------------------------------------------------------------------

/** What may be said to anything that stays connected. */
export interface StreamOptions {
  /** Ends it. */
  signal?: AbortSignal;
  /** Whether to come back after a loss; true by default. */
  reconnect?: boolean;
  /** Called with each change: for a light that shows it. */
  onState?: (state: StreamState) => void;
}

export type StreamState = "connecting" | "open" | "waiting" | "closed";

interface AnyInit extends StreamOptions {
  params?: { path?: Record<string, unknown>; query?: Record<string, unknown> };
  since?: string;
  history?: boolean;
  lastEventId?: string;
}

/** Milliseconds to wait before an attempt: longer each time, and never the same for all who were cut off at once. */
function pauseBefore(attempt: number, first: number): number {
  return Math.min(first * 2 ** attempt, 30_000) * (0.5 + Math.random());
}

/** Wait; sooner where the signal comes, or the network is back. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      globalThis.removeEventListener?.("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
    globalThis.addEventListener?.("online", done);
    if (signal.aborted) done();
  });
}

// --- Server-Sent Events ----------------------------------------------------------------------------------------------

type GetOf<Item> = Item extends { get: infer Operation } ? Operation : never;
type Content<Operation, Kind extends string> = Operation extends { responses: { 200: { content: Record<Kind, infer Value> } } }
  ? Value
  : never;
type EventData<Path extends EventPath> = Content<GetOf<paths[Path]>, "text/event-stream">;

/** An event; `event` is `"message"` where the server has named none, `id` that of the last event that had one. */
export interface ServerEvent<Data, Name = string> {
  event: Name;
  data: Data;
  id: string;
}

/** Messages are missing here: `missed` of them, null where nobody knows; `recovered` if they come from the history. */
export interface Missed {
  missed: number | null;
  recovered: boolean;
}

/** What a channel sends as events. */
export type ChannelEvent<Data> =
  | ServerEvent<Data, "message">
  | ServerEvent<Missed, "gap">
  | ServerEvent<{ user: string }, "joined" | "left">;

export type EventOf<Path extends EventPath> = Path extends ChannelEventPath
  ? ChannelEvent<EventData<Path>>
  : ServerEvent<EventData<Path>>;

export type EventsInit<Path extends EventPath> = ParamsOption<GetOf<paths[Path]>> &
  StreamOptions & {
    /** The id of an event that was seen: what came after it comes first. */
    lastEventId?: string;
  };

const PASSING = [408, 425, 429, 500, 502, 503, 504];

async function* readEvents(http: FetchClient<paths>, path: string, init: AnyInit): AsyncGenerator<unknown, void, void> {
  const { signal: given, reconnect = true, onState, lastEventId = "", ...rest } = init;
  const stop = new AbortController();
  const signal = given ? AbortSignal.any([given, stop.signal]) : stop.signal;
  const memory = { id: lastEventId, retry: 1_000 };
  const get = http.GET as unknown as (path: string, init: object) => Promise<{ data?: unknown; error?: unknown; response: Response }>;
  try {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      let pause = 0;
      try {
        onState?.("connecting");
        const headers = { Accept: "text/event-stream", ...(memory.id && { "Last-Event-ID": memory.id }) };
        const { data, error, response } = await get(path, { ...rest, headers, signal, parseAs: "stream" });
        if (!response.ok) {
          if (!reconnect || !PASSING.includes(response.status)) throw new ProblemError(response, error);
          pause = 1_000 * Number(response.headers.get("Retry-After") ?? 0) || 0;
        } else if (response.status === 204 || !(data instanceof ReadableStream)) {
          return; // SPEC: WHATWG HTML, 9.2.3: an answer without content says: do not come back
        } else {
          onState?.("open");
          for await (const event of parseEvents(data, memory)) {
            attempt = 0;
            yield { ...event, data: readData(path, event) };
          }
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ProblemError || !reconnect || !(error instanceof TypeError)) throw error;
      }
      if (!reconnect || signal.aborted) return;
      onState?.("waiting");
      await sleep(Math.max(pause, pauseBefore(attempt, memory.retry)), signal);
    }
  } finally {
    stop.abort();
    onState?.("closed");
  }
}

function readData(path: string, event: ServerEvent<string>): unknown {
  const kind = EVENTS[path];
  if (kind === "text") return event.data;
  try {
    return JSON.parse(event.data);
  } catch (error) {
    if (kind === "mixed") return event.data;
    throw error;
  }
}

/** SPEC: WHATWG HTML, 9.2.6: how a stream of events is read. */
async function* parseEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  memory: { id: string; retry: number },
): AsyncGenerator<ServerEvent<string>, void, void> {
  let name = "";
  let data: string[] = [];
  for await (const line of readLines(body)) {
    if (line === "") {
      if (data.length) yield { event: name || "message", data: data.join("\n"), id: memory.id };
      [name, data] = ["", []];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") name = value;
    else if (field === "id" && !value.includes("\0")) memory.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) memory.retry = Number(value);
  }
}

async function* readLines(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, void> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return; // what has no line end was cut off
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/); // a last "\r" may be half of a line end
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // it may be over
  }
}

// --- websockets ------------------------------------------------------------------------------------------------------

type Conversation<Path extends SocketPath> = GetOf<sockets[Path]>;

/** What a websocket takes. */
export type Sent<Path extends SocketPath> = Conversation<Path> extends { requestBody: { content: { "application/json": infer Message } } }
  ? Message
  : never;

/** What a websocket gives: messages, frames of a channel, and errors. */
export type Received<Path extends SocketPath> = Content<Conversation<Path>, "application/json">;

export type SocketInit<Path extends SocketPath> = ParamsOption<Conversation<Path>> & StreamOptions;

export type FollowInit<Path extends ChannelPath> = SocketInit<Path> & {
  /** The offset of the last message that was seen: what came after it comes first. */
  since?: string;
  /** Begin with all that the channel still has. */
  history?: boolean;
};

interface Ended {
  code: number;
  reason: string;
  /** Milliseconds that it was open, if it ever was. */
  lasted?: number;
}

/** How a path is reached: its address, with a new ticket each time, and what its frames are. */
class Road {
  readonly shape: SocketShape;
  readonly #http: FetchClient<paths>;
  readonly #options: ClientOptions;
  readonly #path: string;
  readonly #init: AnyInit;

  constructor(http: FetchClient<paths>, options: ClientOptions, path: string, init: AnyInit) {
    [this.#http, this.#options, this.#path, this.#init] = [http, options, path, init];
    this.shape = SOCKETS[path] ?? {};
    if (this.shape.msgpack && !options.msgpack) {
      throw new TypeError(`${path} speaks MessagePack: createClient({ msgpack }) needs what writes and reads it.`);
    }
  }

  get hasTickets(): boolean {
    return this.shape.ticket === true && this.#options.ticket !== undefined;
  }

  async open(since: string | undefined): Promise<WebSocket> {
    const { path, query = {} } = this.#init.params ?? {};
    const base = (this.#options.baseUrl ?? "").replace(/\/$/, "");
    const url = new URL(base + writePath(this.#path, path), globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    for (const [name, value] of fields(query)) url.searchParams.append(name, toText(value));
    if (since !== undefined) url.searchParams.set("since", since);
    if (this.hasTickets) url.searchParams.set("ticket", await this.#ticket());
    const socket = new (this.#options.WebSocket ?? WebSocket)(url.href);
    socket.binaryType = "arraybuffer";
    return socket;
  }

  async #ticket(): Promise<string> {
    const post = this.#http.POST as unknown as (path: string) => Promise<{ data?: unknown; error?: unknown; response: Response }>;
    const { data, error, response } = await post(String(this.#options.ticket));
    if (!response.ok) throw new ProblemError(response, error);
    return (data as { ticket: string }).ticket;
  }

  write(message: unknown): string | ArrayBuffer | Uint8Array<ArrayBuffer> {
    if (message instanceof ArrayBuffer || message instanceof Uint8Array) return message as ArrayBuffer;
    if (this.shape.sends === "text" && typeof message === "string") return message;
    return this.shape.msgpack ? this.#options.msgpack!.encode(message) : JSON.stringify(message);
  }

  read(data: string | ArrayBuffer): unknown {
    if (typeof data !== "string") return this.shape.msgpack ? this.#options.msgpack!.decode(new Uint8Array(data)) : data;
    const { gives = "json" } = this.shape;
    if (gives === "json") return JSON.parse(data);
    if (!data.startsWith("{")) return data;
    try {
      const value: unknown = JSON.parse(data);
      return gives === "mixed" || isError(value) ? value : data;
    } catch {
      return data;
    }
  }
}

/** The frame of an error: problem details whose type is `"error"`. */
export type ErrorFrame = ProblemDetails & { type: "error" };

/** Whether a message is the frame of an error. */
export function isError<Message>(message: Message): message is Extract<Message, { type: "error" }> {
  return isObject(message) && message["type"] === "error" && typeof message["status"] === "number";
}

const MOST_UNSENT = 1_000;
const MOST_ATTEMPTS = 8; // about a minute; browsers do not tell a refusal from a server that is away
const NEVER_OPENED = `It could not be opened in ${MOST_ATTEMPTS} attempts: are path, origin and credentials right?`;

/**
 * A websocket that comes back. Messages are what it is iterated for; iteration ends when it is closed or the server has
 * finished, and throws where it was refused for good (`ConnectionEnded`, `ProblemError`).
 */
export class Connection<Out, In> implements AsyncIterable<In> {
  /** The offset of the last message that was read, of a channel. */
  offset: string | undefined;
  state: StreamState = "connecting";

  readonly #road: Road;
  readonly #init: AnyInit;
  readonly #stop = new AbortController();
  readonly #received: In[] = [];
  #unsent: (string | ArrayBuffer | Uint8Array<ArrayBuffer>)[] = [];
  #socket: WebSocket | undefined;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;
  #position: string | undefined;
  #hidesGap = false;

  /** For `connect` and `follow` alone. */
  constructor(road: Road, init: AnyInit) {
    this.#road = road;
    this.#init = init;
    this.#position = init.since;
    if (init.history && init.since === undefined) {
      [this.#position, this.#hidesGap] = ["0", true]; // which nobody has: a gap comes first, then all that there is
    }
    init.signal?.addEventListener("abort", () => this.close(), { signal: this.#stop.signal });
    if (init.signal?.aborted) this.close();
    void this.#run();
  }

  /** Send a message, or keep it until the connection is open. Whether it arrived nobody tells. */
  send(message: Out): void {
    if (this.state === "closed") throw new TypeError("The connection is closed.");
    const frame = this.#road.write(message);
    if (this.#socket?.readyState === 1) this.#socket.send(frame);
    else if (this.#unsent.length < MOST_UNSENT) this.#unsent.push(frame);
    else throw new TypeError(`${MOST_UNSENT} messages wait for the connection.`);
  }

  /** End it; iteration ends after what has been received. */
  close(): void {
    this.#finish();
    this.#socket?.close(1000);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<In, void, void> {
    try {
      for (;;) {
        const message = this.#received.shift();
        if (message !== undefined) {
          if (isObject(message) && typeof message["offset"] === "string") this.offset = message["offset"];
          yield message;
        } else if (this.state === "closed") {
          if (this.#failure) throw this.#failure;
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      }
    } finally {
      this.close();
    }
  }

  #set(state: StreamState): void {
    if (this.state === "closed" || this.state === state) return;
    this.state = state;
    this.#init.onState?.(state);
  }

  #finish(failure?: Error): void {
    if (this.state === "closed") return;
    this.#failure = failure;
    this.#set("closed");
    this.#stop.abort();
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { reconnect = true } = this.#init;
    this.#init.onState?.("connecting");
    let [opened, renewed] = [false, false];
    for (let attempt = 0; !this.#stop.signal.aborted; attempt += 1) {
      this.#set("connecting");
      let ended: Ended = { code: 1006, reason: "" };
      try {
        ended = await this.#live(await this.#road.open(this.#position));
      } catch (error) {
        if (!(error instanceof TypeError) && !(error instanceof ProblemError && PASSING.includes(error.status))) {
          return this.#finish(error as Error);
        }
      }
      if (ended.code === 1000) return this.#finish();
      opened ||= ended.lasted !== undefined;
      if (!opened && attempt + 1 === MOST_ATTEMPTS) return this.#finish(new ConnectionEnded(ended.code, NEVER_OPENED));
      if ((ended.lasted ?? 0) > 5_000) [attempt, renewed] = [0, false];
      const rule = ruleOf(ended.code);
      const mayRenew: boolean = rule === "renew" && this.#road.hasTickets && !renewed;
      if (!reconnect || rule === "stop" || (rule === "renew" && !mayRenew)) {
        return this.#finish(new ConnectionEnded(ended.code, ended.reason));
      }
      renewed ||= mayRenew;
      this.#set("waiting");
      await sleep(pauseBefore(attempt, rule === "later" ? 5_000 : rule === "restart" ? 1_500 : 500), this.#stop.signal);
    }
  }

  #live(socket: WebSocket): Promise<Ended> {
    this.#socket = socket;
    let opened = 0;
    if (this.#stop.signal.aborted) socket.close(1000);
    return new Promise((resolve) => {
      socket.onopen = () => {
        opened = Date.now();
        this.#set("open");
        for (const frame of this.#unsent.splice(0)) socket.send(frame);
      };
      socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => this.#receive(this.#road.read(data));
      socket.onclose = ({ code, reason }) => resolve({ code, reason, ...(opened && { lasted: Date.now() - opened }) });
    });
  }

  #receive(message: unknown): void {
    if (this.state === "closed") return;
    if (this.#road.shape.channel && isObject(message)) {
      if (typeof message["offset"] === "string") this.#position = message["offset"];
      if (this.#hidesGap) {
        this.#hidesGap = false;
        if ("gap" in message) return;
      }
    }
    this.#received.push(message as In);
    this.#wake?.();
  }
}

type Rule = "stop" | "soon" | "restart" | "later" | "renew";

function ruleOf(code: number): Rule {
  const known = CLOSE_CODES[code];
  if (known) return known;
  if (code >= 4000) return code >= 4500 ? "later" : "stop"; // 4000 and the status of the error
  return [1002, 1003, 1007, 1010].includes(code) ? "stop" : "soon";
}

// --- what this API has of it -----------------------------------------------------------------------------------------

interface SocketShape {
  channel?: true;
  ticket?: true;
  msgpack?: true;
  /** Whether clients send text as it is. */
  sends?: "text";
  /** Whether frames are text as it is, all of them or some. */
  gives?: "text" | "mixed";
}

interface OperationShape {
  body?: "multipart" | "raw";
  parseAs?: "blob";
}

