// Promise 1: the worst sliding second of the senders against the configured pace, and the share of the pace that was used while work waited.
import { median } from './median.mjs';
import { startStack, worstSecond } from './stack.mjs';

const RUNS = 3;
const SECONDS = 20;
/** Cut off at both ends: the ramp (10, 100, all) and the tail, where no work waits. */
const WARM_MS = 4_000;
const TAIL_MS = 1_500;

const LATENCIES = { '20 ms': '20', 'lognormal 40/500 ms': 'lognormal:40:500' };
const CAPS = {
  'account 480 over two egress ids': {
    cap: 480,
    accountQps: 480,
    egressQps: 280,
    addresses: ['127.0.0.1', '127.0.0.2'],
  },
  'egress 280': { cap: 280, accountQps: 480, egressQps: 280, addresses: ['127.0.0.1'] },
};

/** Every row once, then every row again: what disturbs the machine for a while does not fall on all runs of one row. */
export async function benchPace({ only } = {}) {
  const runs = [];
  for (let turn = 0; turn < RUNS; turn += 1) runs.push(await benchOnce(only));
  return runs[0].map((_, at) => summaryOf(runs.map((rows) => rows[at])));
}

/** The worst of what must not be, the median of what is used. */
function summaryOf(rows) {
  const used = rows.map((row) => row.used);
  const worst = (valueOf) => Math.max(...rows.map(valueOf));
  const [{ cap, latency, processes, sentWorstByEgress }] = rows;
  const { arrivedWorst, witnessLagMs } = rows.toSorted((a, b) => b.arrivedWorst - a.arrivedWorst)[0];
  return {
    cap,
    latency,
    processes,
    sentWorst: worst((row) => row.sentWorst),
    sentWorstByEgress: sentWorstByEgress.map((_, at) => worst((row) => row.sentWorstByEgress[at])),
    arrivedWorst,
    witnessLagMs,
    used: median(used),
    usedOfRuns: used,
  };
}

async function benchOnce(only) {
  const rows = [];
  for (const [capName, setup] of Object.entries(CAPS)) {
    for (const [latencyName, latency] of Object.entries(LATENCIES)) {
      for (const processes of [1, 2, 4]) {
        const name = `${capName}, ${latencyName}, ${processes} process${processes === 1 ? '' : 'es'}`;
        if (only !== undefined && !name.includes(only)) continue;
        rows.push({ cap: capName, latency: latencyName, processes, ...(await run(setup, latency, processes)) });
        console.error(`${name}: ${JSON.stringify(rows.at(-1))}`);
      }
    }
  }
  return rows;
}

async function run({ cap, accountQps, egressQps, addresses }, latency, processes) {
  // One process has one source address, so alone it can only reach the account's cap when the egress cap is lifted.
  const lifted = cap === accountQps && processes === 1;
  const stack = await startStack({ latency, accountQps, egressQps: lifted ? accountQps : egressQps });
  try {
    const workers = Array.from({ length: processes }, (_, index) => {
      const address = addresses[index % addresses.length];
      return stack.startWorker({ egress: { id: address, localAddress: address } });
    });
    const batch = stack.submit(cap * SECONDS);
    const status = await stack.settled(batch, 120_000);
    const seen = await stack.seen();
    const sends = (await Promise.all(workers.map((worker) => worker.stop()))).map((times) =>
      times.toSorted((a, b) => a - b),
    );
    const all = sends.flat().toSorted((a, b) => a - b);
    const from = all[0] + WARM_MS;
    const to = all.at(-1) - TAIL_MS;
    const steady = all.filter((time) => time >= from && time < to);
    const byAddress = addresses.map((address, index) =>
      worstSecond(sends.filter((_, worker) => worker % addresses.length === index).flat()),
    );
    return {
      sentWorst: worstSecond(all),
      sentWorstByEgress: byAddress,
      arrivedWorst: Object.values(seen.accounts)[0].worstSecond,
      witnessLagMs: Math.round(seen.worstLagMs),
      used: Math.round((steady.length / ((to - from) / 1_000) / cap) * 1_000) / 10,
      calls: seen.calls,
      revoked: status.revoked,
    };
  } finally {
    await stack.stop();
  }
}
