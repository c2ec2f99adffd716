// What a walk over a listing takes: the share of its pace that it uses, its worst sliding second, calls and resident memory; and a plan beside the
// dry run of the same manifest.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CA,
  COMMAND,
  cpuSeconds,
  INSTANCE,
  KEY,
  RECORDER,
  residentPeakKb,
  serialNumbers,
  startStack,
  worstSecond,
} from './stack.mjs';

const LIFTED_QPS = 10_000;
/** Cut off at both ends: the first answers say how long the listing is, and at the tail no window is left. */
const WARM_MS = 1_500;
const TAIL_MS = 500;
const LATENCIES = { '20 ms': '20', 'lognormal 40/500 ms': 'lognormal:40:500' };

/** @param rows - certificates that are registered */
export async function benchInventory({
  rows = Number(process.env.BENCH_ROWS ?? 200_000),
  qps = Number(process.env.BENCH_QPS ?? 280),
} = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'certsweep-bench-'));
  try {
    const registry = join(folder, 'registry.csv');
    writeRegistry(registry, rows);
    const results = [];
    for (const [latencyName, latency] of Object.entries(LATENCIES)) {
      results.push({ rows, qps, latency: latencyName, ...(await walk({ registry, latency, qps })) });
      console.error(JSON.stringify(results.at(-1)));
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A walk, a plan and a dry run of the same certificates, as fast as the machine can: what they cost, and what they hold. */
export async function benchPlan({ rows = Number(process.env.BENCH_ROWS ?? 1_000_000) } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'certsweep-bench-'));
  const registry = join(folder, 'registry.csv');
  writeRegistry(registry, rows);
  const stack = await startStack({
    accountQps: LIFTED_QPS,
    egressQps: LIFTED_QPS,
    settings: { limiter: { lateMs: 200 } },
    sandbox: ['--no-enforce', '--registry', registry],
  });
  try {
    const walked = await measured(stack, ['inventory', INSTANCE, '--json']);
    const planned = await measured(stack, ['plan', registry, '--out', join(folder, 'it.plan'), '--json']);
    const dry = await measured(stack, ['submit', registry, '--json']);
    const figuresOf = ({ seconds, cpuSeconds: cpu, residentMb }) => ({ seconds, cpuSeconds: cpu, residentMb });
    return {
      rows,
      calls: JSON.parse(walked.stdout).calls,
      certificates: JSON.parse(planned.stdout).certificates,
      walk: figuresOf(walked),
      plan: figuresOf(planned),
      dryRun: figuresOf(dry),
      planBesideWalkInDryRuns: Number(((planned.cpuSeconds - walked.cpuSeconds) / dry.cpuSeconds).toFixed(1)),
    };
  } finally {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function walk({ registry, latency, qps }) {
  const stack = await startStack({
    latency,
    accountQps: qps,
    egressQps: qps,
    sandbox: ['--no-enforce', '--registry', registry],
  });
  try {
    const out = join(stack.folder, 'inventory.csv');
    const ended = await measured(stack, ['inventory', INSTANCE, '--out', out, '--json']);
    const [first = 0] = ended.sends;
    const from = first + WARM_MS;
    const to = (ended.sends.at(-1) ?? 0) - TAIL_MS;
    const steady = ended.sends.filter((time) => time >= from && time < to).length;
    const { certificates, state, calls } = JSON.parse(ended.stdout);
    return {
      certificates,
      state,
      calls,
      used: Math.round((steady / ((to - from) / 1_000) / qps) * 1_000) / 10,
      sentWorst: worstSecond(ended.sends),
      seconds: ended.seconds,
      cpuSeconds: ended.cpuSeconds,
      residentMb: ended.residentMb,
    };
  } finally {
    await stack.stop();
  }
}

/** Runs a command to its end, and notes when each of its calls left. */
async function measured({ folder, config }, args) {
  const sendsFile = join(folder, 'sends.json');
  const startMs = performance.now();
  const child = spawn(
    process.execPath,
    [...(process.env.BENCH_NODE?.split(' ') ?? []), '--import', RECORDER, COMMAND, ...args, '--config', config],
    {
      env: { ...process.env, BENCH_KEY_ID: KEY.id, BENCH_KEY_SECRET: KEY.secret, BENCH_SENDS: sendsFile },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  let peakKb = 0;
  let cpu = 0;
  const watch = setInterval(() => {
    peakKb = Math.max(peakKb, residentPeakKb(child.pid));
    try {
      cpu = cpuSeconds(child.pid);
    } catch {
      // It has ended.
    }
  }, 100);
  const [code] = await once(child, 'close');
  clearInterval(watch);
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}: ${stderr}`);
  const sends = existsSync(sendsFile) ? JSON.parse(readFileSync(sendsFile, 'utf8')) : [];
  return {
    stdout,
    sends: sends.toSorted((a, b) => a - b),
    seconds: Number(((performance.now() - startMs) / 1_000).toFixed(1)),
    cpuSeconds: cpu,
    residentMb: Math.round(peakKb / 1_024),
  };
}

function writeRegistry(path, count) {
  const file = openSync(path, 'w');
  let text = 'instanceId,caSn,deviceSn\n';
  for (const deviceSn of serialNumbers(count)) {
    text += `${INSTANCE},${CA},${deviceSn}\n`;
    if (text.length < 1 << 20) continue;
    writeSync(file, text);
    text = '';
  }
  writeSync(file, text);
  closeSync(file);
}
