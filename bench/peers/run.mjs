// npm run bench:peers [-- --quick] [-- <contender> ...]: every contender under the same conditions; prints, keeps the numbers in bench/results, and writes
// docs/benchmarks-peers.md with its charts. `--report <file>` writes the page again from kept numbers.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { commitNow } from '../commit.mjs';
import { CONTENDERS } from './contenders.mjs';
import { CAP, LATENCY_MS } from './installation.mjs';
import {
  measureCeiling,
  measureCredential,
  measureKill,
  measurePace,
  measureThrottled,
  measureWaiting,
} from './measure.mjs';
import { writeReport } from './report.mjs';

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, report: { type: 'string' } },
});
const unknown = names.find((name) => !CONTENDERS.some((contender) => contender.name === name));
if (unknown !== undefined) {
  console.error(`There is no contender ${unknown}: ${CONTENDERS.map(({ name }) => name).join(', ')}.`);
  process.exit(2);
}

if (options.report !== undefined) writeReport(JSON.parse(readFileSync(options.report, 'utf8')));
else await measureAll();

async function measureAll() {
  const chosen = CONTENDERS.filter(({ name }) => names.length === 0 || names.includes(name));
  const repetitions = options.quick ? 1 : 3;
  const results = {
    at: new Date().toISOString(),
    commit: commitNow(),
    machine: { node: process.version, cores: cpus().length, cpu: cpus()[0]?.model },
    cap: CAP,
    latencyMs: LATENCY_MS,
    repetitions,
    processes: options.quick ? [1, 2, 4] : [1, 2, 4, 8],
    runs: [],
  };
  mkdirSync('bench/results', { recursive: true });
  const file = `bench/results/peers-${results.at.replaceAll(':', '')}.json`;
  async function keep(contender, kind, processes, measure) {
    const row = { contender: contender.name, kind, processes, ...(await measure().catch(failed)) };
    results.runs.push(row);
    console.error(JSON.stringify(row));
    writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
  }

  for (const contender of chosen) await keep(contender, 'waiting', 0, () => measureWaiting(contender));
  // Round after round, so that a noisy quarter of an hour does not fall on one contender alone.
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    for (const contender of chosen) {
      if (contender.kind === 'certsweep' || contender.isUnlimited) {
        await keep(contender, 'ceiling', 1, () => measureCeiling(contender));
      }
      for (const processes of results.processes) {
        await keep(contender, 'pace', processes, () => measurePace(contender, processes));
      }
      await keep(contender, 'kill', 2, () => measureKill(contender));
      await keep(contender, 'throttled', 2, () => measureThrottled(contender));
      await keep(contender, 'credential', 2, () => measureCredential(contender));
    }
  }
  if (names.length === 0) writeReport(results);
  else console.error('Only some contenders were measured: docs/benchmarks-peers.md is left as it was.');
}

/** One failed run must not cost the others. */
function failed(error) {
  return { failed: error.message };
}
