// One client of the example project, and the types of everything that it has no use for.
const plugins = ["@hey-api/typescript", "@hey-api/client-fetch", "@hey-api/sdk"];

export default [
  { input: "example.json", output: { path: "hey", importFileExtension: ".js" }, plugins },
  { input: "zoo.json", output: { path: "zoo-hey", importFileExtension: ".js" }, plugins },
];
