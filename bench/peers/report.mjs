// docs/benchmarks-peers.md and its charts, from the numbers of a run.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { barChart } from '../chart.mjs';
import { median } from '../median.mjs';
import { CONTENDERS } from './contenders.mjs';

/** Columns of the second table, less is better in each: name in the numbers, heading, what it is called in a sentence, digits. */
const COSTS = [
  ['cpuMs', 'CPU ms a call', 'CPU of the worker processes, ms a call', 2],
  ['redisCommands', 'Redis commands a call', 'Redis commands a call', 1],
  ['redisCpuMs', 'Redis CPU ms a call', 'CPU of Redis, ms a call', 2],
  ['lost', 'lost', 'certificates lost after a kill -9', 0],
  ['doubled', 'doubled', 'certificates called again after success, after a kill -9', 0],
  ['throttled', 'throttled', 'throttled answers', 0],
  ['refused', 'calls with a refused key', 'calls made with a refused key', 0],
  ['bytesPerWaiting', 'Redis bytes an item waiting', 'Redis bytes for an item that waits', 0],
];
const AT_WORK = 2;

/** @param results - as run.mjs keeps them */
export function writeReport(results) {
  const rows = CONTENDERS.filter(({ name }) => results.runs.some(({ contender }) => contender === name)).map(
    (contender) => ({ ...contender, of: medians(results.runs, contender.name) }),
  );
  mkdirSync('docs/charts', { recursive: true });
  writeFileSync('docs/charts/peers-worst-second.svg', worstSecondChart(results, limited(rows)));
  writeFileSync('docs/charts/peers-cpu.svg', cpuChart(rows));
  writeFileSync('docs/benchmarks-peers.md', page(results, rows));
  execFileSync('npx', ['oxfmt', 'docs/benchmarks-peers.md']);
  console.error('Written: docs/benchmarks-peers.md, docs/charts/peers-worst-second.svg, docs/charts/peers-cpu.svg.');
}

/** @returns a function `(column, processes)`, undefined where no run succeeded */
function medians(runs, contender) {
  return (column, processes) => {
    const values = runs
      .filter((run) => run.contender === contender && (column.startsWith('bytes') || run.processes === processes))
      // Below zero: calls that were made again after every certificate had been called for.
      .filter(({ sendsMissing = 0 }) => sendsMissing <= 0)
      .map((run) => run[column])
      .filter((value) => value !== undefined);
    return median(values);
  };
}

const limited = (rows) => rows.filter(({ isUnlimited }) => isUnlimited !== true);
const show = (value, digits = 0) => (value === undefined ? '-' : value.toFixed(digits));
const processesOf = (count) => `${count} process${count === 1 ? '' : 'es'}`;
const table = (head, lines) =>
  [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');

function page(results, rows) {
  const { cap, latencyMs, repetitions, machine, processes } = results;
  const pace = rows.map(({ title, of, isUnlimited }) => [
    title,
    ...processes.map(
      (count) =>
        `${show(of('sentWorst', count))} / ${show(of('arrivedWorst', count))} (${show(of('witnessLagMs', count))})${isUnlimited === true ? '' : `, ${show(of('usedPercent', count))}%`}`,
    ),
  ]);
  const costs = rows.map(({ title, of }) => [
    title,
    ...COSTS.map(([name, , , digits]) => show(of(name, AT_WORK), digits)),
  ]);
  const [ours] = rows.filter(({ kind }) => kind === 'certsweep');
  const atWork = ours?.of('bytesPerWaitingAtWork', 0);
  const left = ours?.of('leftWhenRefused', AT_WORK);
  return `# Beside the peers

Written by \`npm run bench:peers\` on ${results.at.slice(0, 10)} at commit ${results.commit}. The programs are in \`bench/peers\`, one file each; each has the most favourable honest settings that we found, and its file says why.

All share the manifest, the endpoint (the sandbox, ${latencyMs} ms an answer), the embedded Redis, the official SDK with POST, and a cap of ${cap} calls a second. ${repetitions === 1 ? 'One run of each' : `Medians of ${repetitions} runs of each`}; ${machine.cores} cores, Node ${machine.node}.

${noise(results)}

## The pace

Worst sliding second by the senders' own times / by arrivals (the witness's worst event-loop lag, ms), and the share of the cap that was used. Arrivals that a lagging witness stamps late look like a burst, so the senders' times are the judge.

certsweep sends nothing later than 25 ms after its slot: on an overloaded machine it gives pace away, where others make up for it.

${table(['', ...processes.map(processesOf)], pace)}

![Worst sliding second](charts/peers-worst-second.svg)

## Costs and faults, two processes

${table(['', ...COSTS.map(([, heading]) => heading)], costs)}

- **lost, doubled**: one of two processes is killed with -9 at 30% of the work and replaced after half a second. Lost: never called. Doubled: called again after the deletion had succeeded. It is what the killed process had in hand, so it differs from run to run.
- **throttled**: the sandbox enforces 500 calls a second on the account.
- **calls with a refused key**: the key is refused from 40% of the work on${left === undefined ? '' : `, with some ${left} certificates left`}. BullMQ fails each job on its own and goes on; the programs without a queue end, as scripts do.
- The programs without a queue rely on their number: one that is not replaced leaves its share undone, one too many goes over the cap.
- **Redis bytes**: 20,000 certificates waiting.${atWork === undefined ? '' : ` certsweep keeps ten seconds of work in BullMQ besides; spread over the 20,000 that is ${show(atWork)} bytes each while it works.`}

![CPU a call](charts/peers-cpu.svg)

## Where a peer is better

${better(rows, processes)}
`;
}

/** Told from the numbers, so that it is as true as they are. */
function better(rows, processes) {
  const [ours] = rows.filter(({ kind }) => kind === 'certsweep');
  const lines = [];
  for (const [name, , sentence, digits] of COSTS) {
    const own = ours?.of(name, AT_WORK);
    const ahead = limited(rows).filter(({ of }) => of(name, AT_WORK) < own);
    if (ahead.length > 0)
      lines.push(sentenceOf(sentence, ahead, (of) => show(of(name, AT_WORK), digits), show(own, digits)));
  }
  for (const count of processes) {
    const own = ours?.of('usedPercent', count);
    const ahead = limited(rows).filter(({ of }) => of('usedPercent', count) > own);
    const valueOf = (of) => `${show(of('usedPercent', count))}% (${show(of('sentWorst', count))})`;
    const what = `share of the cap used with ${processesOf(count)} (worst second)`;
    if (ahead.length > 0) lines.push(sentenceOf(what, ahead, valueOf, valueOf(ours.of)));
  }
  return lines.length === 0 ? 'In no column of these runs.' : lines.join('\n');
}

function sentenceOf(what, ahead, valueOf, own) {
  return `- ${what}: ${ahead.map(({ short, of }) => `${short} ${valueOf(of)}`).join(', ')}; certsweep ${own}.`;
}

/** What one run differs from another of the same thing says more than the load, of which the runs themselves are the most. */
function noise({ machine, processes, runs }) {
  const loads = runs.flatMap(({ loadBefore }) => loadBefore ?? []).toSorted((a, b) => a - b);
  const same = new Map();
  for (const { contender, processes: count, cpuMs } of runs.filter((run) => run.cpuMs !== undefined)) {
    const name = `${contender} ${count}`;
    same.set(name, [...(same.get(name) ?? []), cpuMs]);
  }
  const spreads = [...same.values()]
    .filter((values) => values.length > 1)
    .map((values) => values.toSorted((a, b) => a - b))
    .map((values) => ((values.at(-1) - values[0]) / median(values)) * 100)
    .toSorted((a, b) => a - b);
  const failures = runs.filter(({ failed }) => failed !== undefined).length;
  const load = `the load a minute before the first run was ${show(runs[0].loadBefore, 1)} on ${machine.cores} cores, and before the others ${show(loads[0], 1)} to ${show(loads.at(-1), 1)}, of which the run before was the most`;
  const spread =
    spreads.length === 0
      ? ''
      : ` Between the runs of one thing the CPU a call differed by ${show(median(spreads))}% in the middle, and by ${show(spreads.at(-1))}% at most.`;
  const told = failures === 0 ? '' : ` ${failures} runs failed and are left out.`;
  const crowd =
    Math.max(...processes) <= machine.cores
      ? ''
      : ' The endpoint, the recorder and Redis run on these cores too: with more processes than cores it is they that are the limit.';
  return `How noisy the machine was: ${load}.\n\n${`${spread}${told}${crowd}`.trim()}`;
}

function worstSecondChart({ cap, processes }, rows) {
  return barChart({
    title: 'Worst sliding second, calls, by send times',
    series: processes.map(processesOf),
    groups: rows.map(({ title, kind, of }) => ({
      label: title,
      isOurs: kind === 'certsweep',
      values: processes.map((count) => of('sentWorst', count)),
    })),
    mark: { value: cap, label: `cap ${cap}` },
  });
}

function cpuChart(rows) {
  return barChart({
    title: 'CPU ms a call, two processes',
    series: ['workers', 'Redis'],
    groups: rows.map(({ title, kind, of }) => ({
      label: title,
      isOurs: kind === 'certsweep',
      values: [of('cpuMs', AT_WORK), of('redisCpuMs', AT_WORK)],
    })),
    digits: 2,
  });
}
