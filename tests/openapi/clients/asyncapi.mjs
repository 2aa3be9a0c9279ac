// Parses a document by the parser of the AsyncAPI initiative, and fails where that complains of more than its version.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const faults = diagnostics.filter(({ code }) => code !== "asyncapi-latest-version"); // 3.1 is out
for (const { code, message, path } of faults) console.log(`${code} at ${path.join(".")}: ${message}`);
if (faults.length) process.exit(1);
console.log(document.operations().all().map((operation) => `${operation.action()} ${operation.channels()[0].address()}`).sort().join("\n"));
