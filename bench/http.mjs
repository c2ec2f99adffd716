// What looking costs: the share of the pace and the CPU with ten open pages and a scrape every 5 s, in turns with nobody looking; how long a batch's status
// takes while it runs at pace; and the pace that PUT has halved, on four worker processes.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { median } from './median.mjs';
import { cpuSeconds, startStack, worstSecond } from './stack.mjs';

const QPS = 480;
const PAGES = 10;
/** As the page's script and a usual collector do. */
const PAGE_EVERY_MS = 4_000;
const CHARTS_EVERY_MS = 10_000;
const SCRAPE_EVERY_MS = 5_000;
const WARM_MS = 6_000;
const ROUND_MS = 20_000;
const ROUNDS = 3;
const ASKED = 500;
const LOWERED_SECONDS = 12;
const TOKEN = `cst_${'b'.repeat(43)}`;
const HEADERS = { authorization: `Bearer ${TOKEN}` };

export async function benchHttp() {
  return { looking: await looking(), lowered: await lowered() };
}

/** One worker at pace, and a process that serves. */
async function looking() {
  const stack = await open();
  try {
    const worker = stack.startWorker();
    const pid = await serve(stack);
    const { url } = stack;
    const batch = stack.submit(((WARM_MS + 2 * ROUNDS * ROUND_MS) / 1_000 + 30) * QPS);
    await pause(WARM_MS);
    const rounds = { quiet: [], looked: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const name of ['quiet', 'looked']) {
        const stop = name === 'looked' ? look(url, batch) : async () => {};
        const before = { atMs: nowMs(), serve: cpuSeconds(pid), worker: cpuSeconds(worker.pid) };
        await pause(ROUND_MS);
        const tookMs = nowMs() - before.atMs;
        const share = (of, was) => ((cpuSeconds(of) - was) / tookMs) * 1_000;
        rounds[name].push({
          fromMs: before.atMs,
          toMs: before.atMs + tookMs,
          serveCores: share(pid, before.serve),
          workerCores: share(worker.pid, before.worker),
        });
        await stop();
      }
    }
    const statusMs = await statusTimes(url, batch);
    stack.run('cancel', batch);
    const sends = await worker.stop();
    const summary = (name) => {
      const of = rounds[name];
      const sent = of.map(({ fromMs, toMs }) => {
        const calls = sends.filter((atMs) => atMs >= fromMs && atMs < toMs).length;
        return calls / ((toMs - fromMs) / 1_000) / QPS;
      });
      return {
        used: Number((median(sent) * 100).toFixed(1)),
        serveCores: Number(median(of.map(({ serveCores }) => serveCores)).toFixed(4)),
        workerCores: Number(median(of.map(({ workerCores }) => workerCores)).toFixed(3)),
      };
    };
    return { quiet: summary('quiet'), looked: summary('looked'), sentWorst: worstSecond(sends), statusMs };
  } finally {
    await stack.stop();
  }
}

/** Ten pages and a collector, until told to stop. */
function look(url, batch) {
  const timers = [];
  const all = [];
  const ask = async (path) => {
    const answer = await fetch(`${url}${path}`, { headers: HEADERS });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  };
  const begin = (path) => {
    all.push(ask(path).catch((error) => error));
  };
  const every = (ms, path, offsetMs) => {
    timers.push(
      setTimeout(() => {
        begin(path);
        timers.push(setInterval(() => begin(path), ms));
      }, offsetMs),
    );
  };
  for (let page = 0; page < PAGES; page += 1) {
    // Half of them look at the batch.
    every(PAGE_EVERY_MS, page % 2 === 0 ? '' : `batches/${batch}`, (page * PAGE_EVERY_MS) / PAGES);
    every(CHARTS_EVERY_MS, 'charts/pace', (page * CHARTS_EVERY_MS) / PAGES);
  }
  every(SCRAPE_EVERY_MS, 'metrics', 0);
  return async () => {
    for (const timer of timers) clearTimeout(timer);
    const failure = (await Promise.all(all)).find((end) => end instanceof Error);
    if (failure !== undefined) throw failure;
  };
}

/** Of many questions, one after the other. */
async function statusTimes(url, batch) {
  const times = [];
  for (let asked = 0; asked < ASKED; asked += 1) {
    const startMs = performance.now();
    const answer = await fetch(`${url}v1/batches/${batch}`, { headers: HEADERS });
    await answer.json();
    times.push(performance.now() - startMs);
    if (!answer.ok) throw new Error(`the status answered ${answer.status}`);
    await pause(10);
  }
  times.sort((a, b) => a - b);
  const at = (share) => Number(times[Math.floor(times.length * share)].toFixed(1));
  return { p50: at(0.5), p99: at(0.99), worst: Number(times.at(-1).toFixed(1)) };
}

/** Four processes at full pace, of which PUT takes half for a while. */
async function lowered() {
  const stack = await open();
  try {
    const workers = Array.from({ length: 4 }, () => stack.startWorker());
    await serve(stack);
    const batch = stack.submit((WARM_MS / 1_000 + LOWERED_SECONDS + 20) * QPS);
    await pause(WARM_MS);
    const answer = await fetch(`${stack.url}v1/accounts/bench/pace`, {
      method: 'PUT',
      headers: { ...HEADERS, 'content-type': 'application/json' },
      body: JSON.stringify({ qps: QPS / 2, forSeconds: LOWERED_SECONDS }),
    });
    if (!answer.ok) throw new Error(`the pace answered ${answer.status}: ${await answer.text()}`);
    const loweredMs = nowMs();
    await pause(LOWERED_SECONDS * 1_000 + 8_000);
    stack.run('cancel', batch);
    const sends = (await Promise.all(workers.map((worker) => worker.stop()))).flat().toSorted((a, b) => a - b);
    const during = sends.filter(
      (atMs) => atMs >= loweredMs + 2_000 && atMs < loweredMs + LOWERED_SECONDS * 1_000 - 500,
    );
    const after = sends.filter((atMs) => atMs >= loweredMs + LOWERED_SECONDS * 1_000 + 2_000);
    const perSecond = (times) => Math.round((times.length - 1) / ((times.at(-1) - times[0]) / 1_000));
    return {
      qps: QPS,
      loweredTo: QPS / 2,
      worstBefore: worstSecond(sends.filter((atMs) => atMs < loweredMs)),
      worstFromTwoSecondsOn: worstSecond(during),
      perSecondDuring: perSecond(during),
      perSecondAfter: perSecond(after),
    };
  } finally {
    await stack.stop();
  }
}

async function open() {
  const sha256 = createHash('sha256').update(TOKEN).digest('hex');
  const port = await freePort();
  const stack = await startStack({
    latency: '20',
    accountQps: QPS,
    egressQps: QPS,
    settings: { http: { port, tokens: [{ name: 'bench', sha256, role: 'operator' }] } },
  });
  return { ...stack, url: `http://127.0.0.1:${port}/` };
}

async function serve(stack) {
  const { pid } = stack.start(['serve', '--config', stack.config]);
  for (;;) {
    const isUp = await fetch(`${stack.url}readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return pid;
    await pause(50);
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** The clock of the recorder. */
function nowMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
