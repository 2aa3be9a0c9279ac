// Talks to the example project through the client that @hey-api/openapi-ts made of its OpenAPI document.
import assert from "node:assert/strict";
import { client } from "./hey/client.gen.js";
import * as api from "./hey/sdk.gen.js";
import type { ProductOut, ReviewOut } from "./hey/types.gen.js";

client.setConfig({ baseUrl: process.argv[2]! });
const login = await api.authLogin({ body: { username: "admin", password: "admin-password" } });
assert.equal(login.response?.status, 201);
client.setConfig({ auth: (scheme) => (scheme.scheme === "bearer" ? login.data!.token : undefined) });

const list = await api.listProducts({ query: { limit: 3, category: "garden" } });
const products: ProductOut[] = list.data!;
assert.equal(products.length, 3);

const invalid = await api.listProducts({ query: { limit: 0 } });
assert.deepEqual(invalid.error?.errors?.[0]?.loc, ["query", "limit"]);

const made = await api.createProduct({
  body: { name: "Generated lamp", price: 9.5, category: "kitchen", size: "small" },
});
assert.equal(made.data?.price, "9.50", JSON.stringify(made.error));
const path = { product_id: made.data.id };
const changed = await api.updateProduct({ path, body: { price: "12.00" } });
assert.equal(changed.data?.price, "12.00");

// One black dot.
const png =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
const image = new File([Uint8Array.from(Buffer.from(png, "base64"))], "dot.png", { type: "image/png" });
const shown = await api.uploadImage({ path, body: { image } });
assert.ok(shown.data?.image, JSON.stringify(shown.error));

const said = await api.reviewCreate({ body: { product: made.data.id, stars: 5 } });
const review: ReviewOut = said.data!;
assert.equal(review.product_name, "Generated lamp", JSON.stringify(said.error));
const page = await api.reviewList({ query: { sort: "best", stars: [4, 5], size: 2 } });
assert.equal(page.data?.items.length, 2);
assert.ok(page.data.next);

assert.equal((await api.deleteProduct({ path })).response?.status, 204);
assert.equal((await api.getProduct({ path })).error?.status, 404);
assert.equal((await api.me()).data?.username, "admin");

console.log("talked");
