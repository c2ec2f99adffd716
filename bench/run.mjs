// npm run bench [-- pace|ceiling|submit|find|inventory|plan|http ...]: prints what docs/benchmarks.md shows, and keeps it in bench/results.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { benchCeiling } from './ceiling.mjs';
import { commitNow } from './commit.mjs';
import { medianOfEach } from './median.mjs';
import { benchFind } from './find.mjs';
import { benchHttp } from './http.mjs';
import { benchInventory, benchPlan } from './inventory.mjs';
import { benchPace } from './pace.mjs';
import { benchSubmit } from './submit.mjs';

const BENCHES = {
  ceiling: () => repeat(3, benchCeiling),
  submit: () => repeat(3, benchSubmit),
  find: () => benchFind(),
  pace: () => benchPace({ only: process.env.BENCH_ONLY }),
  inventory: benchInventory,
  plan: benchPlan,
  http: benchHttp,
};
const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !(name in BENCHES));
if (unknown !== undefined) {
  console.error(`There is no benchmark ${unknown}: ${Object.keys(BENCHES).join(', ')}.`);
  process.exit(2);
}

const machine = { node: process.version, cores: cpus().length, cpu: cpus()[0]?.model, loadBefore: loadavg()[0] };
const results = { at: new Date().toISOString(), commit: commitNow(), machine };
for (const name of chosen.length === 0 ? Object.keys(BENCHES) : chosen) {
  results[name] = await BENCHES[name]();
  console.error(`${name}: ${JSON.stringify(results[name])}`);
}
mkdirSync('bench/results', { recursive: true });
writeFileSync(`bench/results/${results.at.replaceAll(':', '')}.json`, `${JSON.stringify(results, undefined, 2)}\n`);
console.log(JSON.stringify(results, undefined, 2));

/** Medians of several runs, since the machine is never quiet. */
async function repeat(times, bench) {
  const runs = [];
  for (let run = 0; run < times; run += 1) runs.push(await bench());
  return { median: medianOfEach(runs), runs };
}
