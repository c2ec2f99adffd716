// How long `certsweep find` takes: npm run bench -- find, or with other numbers, after npm run build:
//   node bench/find.mjs --batches 10 --items 1000000
// Every certificate is settled and random. The device that is looked for is the first of each batch, the last that the search comes to in its ledger;
// a second search is for a device that no batch has.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Ledger } from '../dist/ledger/ledger.js';
import { Plan } from '../dist/ledger/plan.js';
import { KEY_PREFIX } from '../dist/queue/contract.js';
import { openRedis as openEmbedded } from '../dist/runtime/redis/open-redis.js';
import { CA, COMMAND, INSTANCE, openRedis, residentPeakKb, serialNumbers, startStack } from './stack.mjs';

const SOUGHT = 'the-device-that-is-sought';
/** Outcomes in an entry of the ledger, as a worker at full pace reports them. */
const ROWS = 25;
/** Entries written at once. */
const WRITTEN = 400;

export async function benchFind({ batches = 3, items = 100_000 } = {}) {
  const stack = await startStack({ accountQps: 480, egressQps: 280 });
  const held = await openEmbedded({ dataDir: join(stack.folder, 'data') }, () => undefined);
  const redis = openRedis(stack.folder);
  try {
    const serials = serialNumbers(batches * items);
    for (let batch = 0; batch < batches; batch += 1) await writeBatch(redis, serials, items);
    const everywhere = await search(stack.config, redis, SOUGHT);
    const nowhere = await search(stack.config, redis, 'no-such-device');
    if (everywhere.found !== batches || nowhere.found !== 0) throw new Error('find did not find what is there');
    return { batches, items, everywhere, nowhere };
  } finally {
    redis.disconnect();
    await held.close();
    await stack.stop();
  }
}

/** A batch that is done, as the ledger keeps it; it goes past the scripts, since a million reports would take longer than all that is measured. */
async function writeBatch(redis, serials, items) {
  const ledger = new Ledger(redis, KEY_PREFIX);
  const plan = new Plan(ledger, { priority: 'bulk', requestedBy: 'bench' }, Date.now());
  await plan.add({ instanceId: INSTANCE, caSn: CA, deviceSn: SOUGHT });
  for (let n = 1; n < items; n += 1) {
    await plan.add({ instanceId: INSTANCE, caSn: CA, deviceSn: serials.next().value });
  }
  const { batch } = await plan.activate();
  const of = ledger.keys.of(batch);
  for (let from = 0; from < items; from += ROWS * WRITTEN) {
    const write = redis.pipeline();
    for (let first = from; first < Math.min(items, from + ROWS * WRITTEN); first += ROWS) {
      const rows = Array.from({ length: Math.min(ROWS, items - first) }, (_, at) => [first + at, requestId()]);
      write.xadd(of.ledger, '*', 'revoked', JSON.stringify(rows));
    }
    await write.exec();
  }
  await redis.set(of.settled, Buffer.alloc(Math.ceil(items / 8), 0xff));
  await redis.hset(of.record, { state: 'completed', revoked: items, completedAt: Date.now() });
  await redis.zrem(ledger.keys.active, batch);
}

function requestId() {
  return randomUUID().toUpperCase();
}

async function search(config, redis, deviceSn) {
  await redis.config('SET', 'slowlog-log-slower-than', 1_000, 'slowlog-max-len', 1_024);
  await redis.slowlog('RESET');
  const startMs = performance.now();
  const child = execFile(process.execPath, [COMMAND, 'find', deviceSn, '--json', '--config', config]);
  let out = '';
  child.stdout.on('data', (text) => (out += text));
  child.stderr.pipe(process.stderr);
  let peakKb = 0;
  const watch = setInterval(() => (peakKb = Math.max(peakKb, residentPeakKb(child.pid))), 50);
  await new Promise((resolve) => child.on('close', resolve));
  clearInterval(watch);
  const seconds = (performance.now() - startMs) / 1_000;
  const slow = await redis.slowlog('GET', 1_024);
  return {
    found: JSON.parse(out).length,
    seconds: Number(seconds.toFixed(1)),
    residentMb: Math.round(peakKb / 1_024),
    // 0: none took a millisecond.
    slowestCommandMs: Math.max(0, ...slow.map(([, , microseconds]) => microseconds)) / 1_000,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { batches: { type: 'string' }, items: { type: 'string' } } });
  const given = Object.entries(values).map(([name, value]) => [name, Number(value)]);
  const machine = { node: process.version, cores: cpus().length, cpu: cpus()[0]?.model, loadBefore: loadavg()[0] };
  console.log(JSON.stringify({ machine, ...(await benchFind(Object.fromEntries(given))) }, undefined, 2));
}
