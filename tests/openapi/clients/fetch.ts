// Talks to the example project through a client whose types a stock generator made of its OpenAPI document.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Product = components["schemas"]["ProductOut"];
type Problem = components["schemas"]["Problem"];

const api = createClient<paths>({ baseUrl: process.argv[2]! });

const login = await api.POST("/auth/login", { body: { username: "admin", password: "admin-password" } });
assert.equal(login.response.status, 201);
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${login.data!.token}`);
    return request;
  },
});

const wrong = await api.POST("/auth/login", { body: { username: "admin", password: "no" } });
const refused: Problem | undefined = wrong.error;
assert.equal(refused?.status, 401);

const list = await api.GET("/products", { params: { query: { limit: 3, category: "garden" } } });
const products: Product[] = list.data!;
assert.equal(products.length, 3);
assert.ok(products.every((product) => product.category === "garden"));
assert.ok(new Date(products[0]!.created_at).getFullYear() >= 2024);

const invalid = await api.GET("/products", { params: { query: { limit: 0 } } });
assert.equal(invalid.error?.status, 422);
assert.deepEqual(invalid.error?.errors?.[0]?.loc, ["query", "limit"]);

const made = await api.POST("/products", {
  body: { name: "Typed lamp", price: "9.50", category: "kitchen", size: "small" },
});
assert.equal(made.response.status, 201, JSON.stringify(made.error));
const path = { product_id: made.data!.id };
const changed = await api.PATCH("/products/{product_id}", { params: { path }, body: { price: "12.00" } });
assert.equal(changed.data?.price, "12.00", JSON.stringify(changed.error));
const removed = await api.DELETE("/products/{product_id}", { params: { path } });
assert.equal(removed.response.status, 204);
const gone = await api.GET("/products/{product_id}", { params: { path } });
assert.equal(gone.error?.status, 404);

console.log("talked");
