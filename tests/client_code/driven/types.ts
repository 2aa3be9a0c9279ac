// What compiles, and what must not: this is compiled, and never run. An `@ts-expect-error` above what compiles is an error.
import * as example from "./example/client.js";
import * as lively from "./lively/client.js";
import * as zoo from "./zoo/client.js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Of<T> = T extends Promise<infer Value> ? Value : T extends AsyncIterable<infer Item> ? Item : never;
type Product = example.components["schemas"]["ProductOut"];
type Lively = lively.components["schemas"];

export async function calls() {
  const api = example.createClient({ credentials: example.bearer(async () => "hgt_..."), ticket: "/auth/ticket" });
  const product = await example.unwrap(api.GET("/products/{product_id}", { params: { path: { product_id: 1 } } }));
  true satisfies Equal<typeof product, Product>;
  const rows = await example.unwrap(api.GET("/products.ndjson"));
  true satisfies Equal<typeof rows, Product[]>;
  const removed = await example.unwrap(api.DELETE("/products/{product_id}", { params: { path: { product_id: 1 } } }));
  true satisfies Equal<typeof removed, undefined>;
  const { data, error } = await api.GET("/products", { params: { query: { category: "garden", limit: 3 } } });
  if (error) true satisfies Equal<typeof error, example.components["schemas"]["Problem"]>;
  else true satisfies Equal<typeof data, Product[]>;
  await api.PUT("/products/{product_id}/image", { params: { path: { product_id: 1 } }, body: { image: new Blob() } });

  // @ts-expect-error: no such path
  void api.GET("/product");
  // @ts-expect-error: no such method there
  void api.DELETE("/products");
  // @ts-expect-error: the parameter is missing
  void api.GET("/products/{product_id}");
  // @ts-expect-error: it is a number
  void api.GET("/products/{product_id}", { params: { path: { product_id: "one" } } });
  // @ts-expect-error: no such category
  void api.GET("/products", { params: { query: { category: "gardens" } } });
  // @ts-expect-error: the price is missing
  void api.POST("/products", { body: { name: "Lamp", category: "garden", size: "small" } });
  // @ts-expect-error: a file is a Blob
  void api.PUT("/products/{product_id}/image", { params: { path: { product_id: 1 } }, body: { image: "text" } });
  // @ts-expect-error: a product has no colour
  void product.colour;
  // @ts-expect-error: tickets come from another path
  void example.createClient({ ticket: "/auth/login" });
  // @ts-expect-error: a login needs no JSON of products
  void api.POST("/auth/login", { body: product });
}

export async function streams() {
  const api = example.createClient();
  for await (const { data, id } of api.events("/prices", { params: { query: { pause: 1 } }, lastEventId: "7" })) {
    true satisfies Equal<typeof data, { product: number; price: string }>;
    true satisfies Equal<typeof id, string>;
  }
  const room = api.follow("/live/rooms/{name}", { params: { path: { name: "lobby" } }, history: true });
  for await (const frame of room) {
    if (example.isError(frame)) true satisfies Equal<typeof frame, example.realtime.components["schemas"]["ErrorFrame"]>;
    else if ("joined" in frame) frame.joined.user satisfies string;
    else if ("gap" in frame) frame.gap.missed satisfies number | null;
    else if ("data" in frame) true satisfies Equal<typeof frame.data, { text: string; by: string; at: string }>;
  }

  // @ts-expect-error: these are no events
  void api.events("/products");
  // @ts-expect-error: the pause is a number
  void api.events("/prices", { params: { query: { pause: "1" } } });
  // @ts-expect-error: the name is missing
  void api.follow("/live/rooms/{name}");
  // @ts-expect-error: `since` is an option of its own
  void api.follow("/live/rooms/{name}", { params: { path: { name: "lobby" }, query: { since: "1" } } });
  // @ts-expect-error: nothing may be sent to a stream
  room.send({ text: "hello" });
}

export async function sockets() {
  const api = lively.createClient();
  const chat = api.connect("/chat/{room}", { params: { path: { room: "kitchen" }, query: { loud: true } } });
  chat.send({ type: "say", text: "tea?" });
  type Chat = Of<typeof chat>;
  true satisfies Equal<Exclude<Chat, lively.realtime.components["schemas"]["ErrorFrame"]>, string | { text: string; room?: string }>;
  const words = api.connect("/words");
  words.send({ type: "say", text: "some words" });
  api.connect("/binary").send(new ArrayBuffer(3));
  api.connect("/text/{rest}", { params: { path: { rest: "a/b" } } }).send("text");
  zoo.createClient().connect("/free").send({ anything: true });

  // @ts-expect-error: it is no message of this room
  chat.send({ type: "shout", text: "tea!" });
  // @ts-expect-error: a message has its tag
  chat.send({ text: "tea?" });
  // @ts-expect-error: no such websocket
  void api.connect("/chats/{room}");
  // @ts-expect-error: it follows no channel
  void api.follow("/chat/{room}", { params: { path: { room: "kitchen" } } });
  // @ts-expect-error: what is written is text
  api.connect("/text/{rest}", { params: { path: { rest: "a/b" } } }).send(5);
}

export async function events() {
  const api = lively.createClient();
  type News = Of<ReturnType<typeof api.events<"/news/{topic}/events">>>;
  const news = {} as News;
  if (news.event === "gap") true satisfies Equal<typeof news.data, lively.Missed>;
  else if (news.event === "message") true satisfies Equal<typeof news.data, { text: string; room?: string }>;
  else true satisfies Equal<typeof news.data, { user: string }>;
  type Progress = Of<ReturnType<typeof api.events<"/progress">>>;
  true satisfies Equal<Progress["data"], string | { done: number }>;
  type Untyped = Of<ReturnType<typeof api.events<"/untyped">>>;
  true satisfies Equal<Untyped["data"], string>;
}

export const schemas: true[] = [
  true satisfies Equal<Lively["Tree"]["children"], Lively["Tree"][] | undefined>,
  true satisfies Equal<Lively["Colour"], "red" | "" | 'q"uo`te${x}'>,
  true satisfies Equal<Lively["Function"]["a.b c"], number | undefined>,
];

// A page that has no websockets, and a script that has no page.
export const own: lively.Credentials = { headers: () => ({ "X-Own": "1" }), cookies: "omit" };
