// A million rows: time, resident memory of the submitter, and bytes of Redis for each waiting item; then what the ledger adds to each.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { COMMAND, openRedis, residentPeakKb, startStack, usedMemory, writeManifest } from './stack.mjs';

const ROWS = 1_000_000;
const LEDGER_ITEMS = 30_000;
const LIFTED_QPS = 10_000;

export async function benchSubmit() {
  const stack = await startStack({ accountQps: LIFTED_QPS, egressQps: LIFTED_QPS });
  try {
    const manifest = join(stack.folder, 'million.csv');
    writeManifest(manifest, ROWS);
    // Keeps the embedded Redis up, so that its start is not part of the time.
    const keeper = spawn(process.execPath, [COMMAND, 'status', '--watch', '--json', '--config', stack.config], {
      stdio: 'ignore',
    });
    const redis = await connected(stack.folder);
    const before = await usedMemory(redis);
    const startMs = performance.now();
    const child = spawn(
      process.execPath,
      [COMMAND, 'submit', manifest, '--execute', '--yes', '--json', '--config', stack.config],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    let out = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    let peakKb = 0;
    const watch = setInterval(() => {
      peakKb = Math.max(peakKb, residentPeakKb(child.pid));
    }, 50);
    await once(child, 'close');
    clearInterval(watch);
    const seconds = (performance.now() - startMs) / 1_000;
    const { accepted, batch } = JSON.parse(out);
    const bytesPerWaiting = ((await usedMemory(redis)) - before) / accepted;
    stack.run('cancel', batch);

    const ledger = await ledgerBytes(stack, redis);
    redis.disconnect();
    keeper.kill('SIGTERM');
    await once(keeper, 'exit');
    return {
      rows: accepted,
      seconds: Number(seconds.toFixed(1)),
      residentMb: Math.round(peakKb / 1_024),
      bytesPerWaiting: Number(bytesPerWaiting.toFixed(1)),
      ...ledger,
    };
  } finally {
    await stack.stop();
  }
}

/** What Redis holds more for each item once it is settled, and the most it held in between. */
async function ledgerBytes(stack, redis) {
  await redis.flushall();
  const batch = stack.submit(LEDGER_ITEMS);
  const before = await usedMemory(redis);
  const worker = stack.startWorker({ record: false });
  let peak = before;
  const settled = stack.settled(batch, 120_000).then(() => true);
  const look = () => new Promise((resolve) => setTimeout(() => resolve(false), 200));
  while (!(await Promise.race([settled, look()]))) peak = Math.max(peak, await usedMemory(redis));
  await worker.stop();
  const ledgerBytesPerItem =
    (await redis.memory('USAGE', `{certsweep}:batch:${batch}:ledger`, 'SAMPLES', '0')) / LEDGER_ITEMS;
  return {
    ledgerBytesPerItem: Number(ledgerBytesPerItem.toFixed(1)),
    peakMbOverStart: Number(((peak - before) / 2 ** 20).toFixed(1)),
  };
}

async function connected(folder) {
  for (;;) {
    try {
      const redis = openRedis(folder);
      await redis.ping();
      return redis;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
