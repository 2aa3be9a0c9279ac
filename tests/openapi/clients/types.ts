// What the stock generators make of types that they stumble over: this is compiled, and never run.
import type { components, operations } from "./zoo.js";
import type * as hey from "./zoo-hey/types.gen.js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Row = components["schemas"]["Row"];
type RowInput = components["schemas"]["RowInput"];

export const checks: true[] = [
  true satisfies Equal<Row["pair"], [number, string]>,
  true satisfies Equal<Row["triple"], [number, number, string]>,
  true satisfies Equal<Row["one"], [number]>,
  true satisfies Equal<components["schemas"]["Point"], [number, number]>,
  true satisfies Equal<Row["price"], string>,
  true satisfies Equal<RowInput["price"], string | number>,
  true satisfies Equal<Row["only"], "x">,
  true satisfies Equal<components["schemas"]["Level"], 1 | 5>,
  true satisfies Equal<components["schemas"]["shop_Row"]["value"], number>,
  true satisfies Equal<components["schemas"]["stock_Row"]["name"], string>,
  true satisfies Equal<components["schemas"]["Renamed"], { out: number }>,
  true satisfies Equal<components["schemas"]["RenamedInput"], { in: number }>,
  true satisfies Equal<
    operations["either"]["responses"][200]["content"]["application/json"],
    components["schemas"]["Full"] | components["schemas"]["Mini"]
  >,

  true satisfies Equal<hey.Row["pair"], [number, string]>,
  true satisfies Equal<hey.Row["triple"], [number, number, string]>,
  true satisfies Equal<hey.Row["one"], [number]>,
  true satisfies Equal<hey.Point, [number, number]>,
  true satisfies Equal<hey.Row["price"], string>,
  true satisfies Equal<hey.RowInput["price"], string | number>,
  true satisfies Equal<hey.ShopRow["value"], number>,
  true satisfies Equal<hey.StockRow["name"], string>,
  true satisfies Equal<hey.EitherResponse, hey.Full | hey.Mini>,
];
