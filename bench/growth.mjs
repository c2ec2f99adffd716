// npm run bench:growth [-- --submit-to 7 --feed-to 7]: from 10^4 certificates up. Submitting, then feeding alone: the queue is
// drained and its items are settled without calls, so that the endpoint's pace does not hide what grows. Writes
// docs/benchmarks-growth.md and its chart; `--report <file> [<file> ...]` writes them from the kept numbers of several runs.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Redis } from 'ioredis';
import { DEFAULT_BREAKER } from '../dist/core/batch.js';
import { ChunkReader } from '../dist/ledger/chunk-reader.js';
import { Ledger } from '../dist/ledger/ledger.js';
import { KEY_PREFIX } from '../dist/queue/contract.js';
import { Feeder } from '../dist/queue/feed/feeder.js';
import { AccountQueues } from '../dist/queue/queues.js';
import { openRedis as openEmbedded } from '../dist/runtime/redis/open-redis.js';
import { COMMAND, INSTANCE, openRedis, residentPeakKb, startStack, usedMemory, writeManifest } from './stack.mjs';
import { plotRow } from './chart.mjs';
import { commitNow } from './commit.mjs';
import { medianOfEach } from './median.mjs';

const FIRST_EXPONENT = 4;
/** Ten seconds of the default pace, as a worker has it. */
const LOW_WATER = 4_800;
/** Items settled in one step: as many as a fast worker ends between two pulses. */
const SETTLE_AT_ONCE = 50;
/** As `startStack` names it. */
const ACCOUNT = 'bench';
const SELF = fileURLToPath(import.meta.url);

const { values: options, positionals: moreReports } = parseArgs({
  allowPositionals: true,
  options: {
    'submit-to': { type: 'string', default: '7' },
    'feed-to': { type: 'string', default: '7' },
    'feed-batch': { type: 'string' },
    report: { type: 'string' },
  },
});
if (options['feed-batch'] !== undefined) console.log(JSON.stringify(await feedAlone(options['feed-batch'])));
else if (options.report !== undefined)
  writeReport([options.report, ...moreReports].map((file) => JSON.parse(readFileSync(file, 'utf8'))));
else await measureAll();

async function measureAll() {
  const at = new Date().toISOString();
  const commit = commitNow();
  const rows = [];
  for (let exponent = FIRST_EXPONENT; exponent <= Number(options['submit-to']); exponent += 1) {
    rows.push({ loadBefore: loadavg()[0], ...(await measure(10 ** exponent, exponent <= Number(options['feed-to']))) });
    console.error(JSON.stringify(rows.at(-1)));
  }
  mkdirSync('bench/results', { recursive: true });
  writeFileSync(
    `bench/results/growth-${at.replaceAll(':', '')}.json`,
    `${JSON.stringify({ at, commit, rows }, undefined, 2)}\n`,
  );
  writeReport([{ at, commit, rows }]);
}

/** Of several runs, which have the same sizes, the median of each number. */
function writeReport(runs) {
  const rows = runs[0].rows.map((_, at) => medianOfEach(runs.map((run) => run.rows[at])));
  mkdirSync('docs/charts', { recursive: true });
  writeFileSync('docs/charts/growth.svg', chart(rows));
  writeFileSync('docs/benchmarks-growth.md', page(runs, rows));
  execFileSync('npx', ['oxfmt', 'docs/benchmarks-growth.md']);
}

async function measure(items, feeds) {
  const stack = await startStack({ accountQps: 480, egressQps: 280 });
  const server = await openEmbedded({ dataDir: join(stack.folder, 'data') }, () => undefined);
  const redis = openRedis(stack.folder);
  try {
    const manifest = join(stack.folder, 'manifest.csv');
    writeManifest(manifest, items);
    const before = await usedMemory(redis);
    const submitted = await submit(manifest, stack.config);
    const row = {
      items,
      submitSeconds: submitted.seconds,
      submitResidentMb: submitted.residentMb,
      waitingBytes: round(((await usedMemory(redis)) - before) / items, 1),
    };
    if (!feeds) return row;
    const { path, password } = server.options;
    const env = { ...process.env, GROWTH_SOCKET: path, GROWTH_PASSWORD: password };
    const { stdout } = await promisify(execFile)(process.execPath, [SELF, '--feed-batch', submitted.batch], { env });
    return { ...row, ...JSON.parse(stdout) };
  } finally {
    redis.disconnect();
    await server.close();
    await stack.stop();
  }
}

async function submit(manifest, config) {
  const startMs = performance.now();
  const child = spawn(
    process.execPath,
    [COMMAND, 'submit', manifest, '--execute', '--yes', '--json', '--config', config],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let peakKb = 0;
  const watch = setInterval(() => (peakKb = Math.max(peakKb, residentPeakKb(child.pid))), 20);
  let out = '';
  for await (const chunk of child.stdout) out += chunk;
  clearInterval(watch);
  const seconds = round((performance.now() - startMs) / 1_000, 2);
  return { batch: JSON.parse(out).batch, seconds, residentMb: Math.round(peakKb / 1_024) };
}

/** In a process of its own, so that its resident memory is the feeder's alone. */
async function feedAlone(batch) {
  const redis = new Redis({
    path: process.env.GROWTH_SOCKET,
    password: process.env.GROWTH_PASSWORD,
    replyMapping: 'legacy',
    maxRetriesPerRequest: null,
  });
  const ledger = new Ledger(redis, KEY_PREFIX);
  const queues = new AccountQueues(redis, KEY_PREFIX, ACCOUNT);
  const feeder = new Feeder({
    account: { name: ACCOUNT, instances: [INSTANCE] },
    redis,
    ledger,
    chunks: new ChunkReader(ledger),
    queues,
    lowWater: LOW_WATER,
    breaker: DEFAULT_BREAKER,
    mayFeed: () => true,
    owns: () => true,
    mayGoOn: () => Promise.resolve(true),
    monotonicMs: () => performance.now(),
    tell: (event) => console.error(JSON.stringify(event)),
  });
  const startMs = performance.now();
  const { accepted } = (await ledger.batches.find(batch)).counts;
  let feedMs = 0;
  let queueBytes = 0;
  for (let fed = 0; fed < accepted;) {
    const before = await usedMemory(redis);
    const roundStartMs = performance.now();
    const count = await feeder.feed();
    feedMs += performance.now() - roundStartMs;
    queueBytes = Math.max(queueBytes, (await usedMemory(redis)) - before);
    await queues.blocks.bulk.drain();
    await settle(ledger, batch, fed, count);
    fed += count;
  }
  const seconds = (performance.now() - startMs) / 1_000;
  const state = await ledger.batches.find(batch);
  if (state.counts.revoked !== accepted) throw new Error(`settled ${state.counts.revoked} of ${accepted}`);
  const ledgerBytes = await redis.memory('USAGE', `${KEY_PREFIX}:batch:${batch}:ledger`, 'SAMPLES', '0');
  await queues.close();
  redis.disconnect();
  return {
    feedMicros: round((feedMs * 1_000) / accepted, 1),
    feedAndSettleSeconds: round(seconds, 2),
    feedResidentMb: Math.round(process.resourceUsage().maxRSS / 1_024),
    ledgerBytes: round(ledgerBytes / accepted, 1),
    queueMb: round(queueBytes / 2 ** 20, 1),
  };
}

async function settle(ledger, batch, from, count) {
  const run = { kind: 'job', lockKey: '{certsweep}:free', token: 'none' };
  const attempt = { failures: 0, calls: 1, effectUnknown: false };
  const revoked = { kind: 'settle', outcome: 'revoked', code: 'OK', attempt, isUncalled: false };
  for (let done = 0; done < count; done += SETTLE_AT_ONCE) {
    const reports = Array.from({ length: Math.min(SETTLE_AT_ONCE, count - done) }, (_, index) => {
      const end = { ...revoked, requestId: randomUUID().toUpperCase() };
      return { n: from + done + index, instanceId: INSTANCE, run, end };
    });
    await ledger.items.report(batch, reports);
  }
}

function page(runs, rows) {
  const cell = (value, unit = '') => (value === undefined ? '-' : `${value}${unit}`);
  const lines = rows.map(
    (row) =>
      `| ${row.items.toLocaleString('en')} | ${row.submitSeconds} s | ${round((row.submitSeconds * 1e6) / row.items, 1)} | ${row.submitResidentMb} MB | ${row.waitingBytes} | ${cell(row.feedMicros)} | ${cell(row.feedAndSettleSeconds, ' s')} | ${cell(row.feedResidentMb, ' MB')} | ${cell(row.queueMb, ' MB')} | ${cell(row.ledgerBytes)} |`,
  );
  const loads = runs.flatMap((run) => run.rows.map(({ loadBefore }) => loadBefore)).toSorted((a, b) => a - b);
  const how = runs.length === 1 ? 'one run of each size' : `each number is the median of ${runs.length} runs`;
  const last = (name) => runs.map((run) => run.rows.at(-1)[name]).join(', ');
  return `# Growth

Written by \`npm run bench:growth\` on ${runs[0].at.slice(0, 10)} at commit ${runs[0].commit}, ${how}; ${cpus().length} cores, Node ${process.version}. The load before each row, with the row before it in it, was ${loads[0].toFixed(1)} to ${loads.at(-1).toFixed(1)}.

| certificates | submit | µs an item | submitter, resident at most | Redis bytes an item waiting | feeding, µs an item | fed and settled | feeder, resident at most | queue in Redis at most | Redis bytes an item settled |
| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
${lines.join('\n')}

Feeding is measured alone: the feeder fills a real BullMQ queue to its low-water mark of ${LOW_WATER.toLocaleString('en')}, the queue is drained, and its items are settled without calls.

To find duplicates the submitter keeps 128 bits of each certificate in tables of at most 16 MB. Full ones go to a temporary file, and 1.4 bytes of each certificate in them stay in memory, from some 780,000 certificates on.

With ten times the certificates, between the two largest sizes of each: submit time times ${ratio(rows, 'submitSeconds')}, feeding and settling times ${ratio(rows, 'feedAndSettleSeconds')} (linear is 10).

The submitter's memory times ${ratio(rows, 'submitResidentMb')}, the feeder's times ${ratio(rows, 'feedResidentMb')}, the queue's in Redis times ${ratio(rows, 'queueMb')}, bytes an item times ${ratio(rows, 'waitingBytes')} waiting and times ${ratio(rows, 'ledgerBytes')} settled (flat is 1).

In the last row, submitting took ${last('submitSeconds')} s, feeding and settling ${last('feedAndSettleSeconds')} s, and the queue in Redis at most ${last('queueMb')} MB, over ten times as many rounds as in the row before.

![Growth](charts/growth.svg)
`;
}

/** Of the largest size that has it to the one before. */
function ratio(rows, name) {
  const [before, last] = rows
    .map((row) => row[name])
    .filter((value) => value !== undefined)
    .slice(-2);
  return last === undefined ? '-' : (last / before).toFixed(2);
}

function chart(rows) {
  const xs = rows.map(({ items }) => items);
  const values = (name) => rows.map((row) => row[name]);
  return plotRow({
    title: 'From ten thousand certificates up',
    plots: [
      {
        title: 'seconds',
        xs,
        isLog: true,
        lines: [
          { name: 'submit', values: values('submitSeconds') },
          { name: 'feed and settle, no calls', values: values('feedAndSettleSeconds') },
        ],
      },
      {
        title: 'resident MB at most',
        xs,
        lines: [
          { name: 'submitter', values: values('submitResidentMb') },
          { name: 'feeder', values: values('feedResidentMb') },
        ],
      },
      {
        title: 'Redis bytes an item',
        xs,
        lines: [
          { name: 'waiting', values: values('waitingBytes') },
          { name: 'settled, in the ledger', values: values('ledgerBytes') },
        ],
      },
    ],
  });
}

function round(value, digits) {
  return Number(value.toFixed(digits));
}
