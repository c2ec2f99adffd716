// A whole installation on loopback: embedded Redis in a temporary folder, the sandbox as endpoint in its own process, any number of workers.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';

export const COMMAND = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
export const RECORDER = new URL('recorder.mjs', import.meta.url).href;
export const INSTANCE = 'post-cn-bench';
export const CA = 'CA01';
const WRITE_BYTES = 1 << 20;
/** Opens nothing anywhere else. */
export const KEY = { id: 'bench-key-id', secret: 'bench-key-secret' };

/** Starts the sandbox and prepares a configuration. `settings` is merged into it; `sandbox` says how it treats quotas. */
export async function startStack({
  latency = '0',
  accountQps,
  egressQps,
  settings = {},
  sandbox: quotas = ['--no-enforce'],
}) {
  const folder = mkdtempSync(join(tmpdir(), 'certsweep-bench-'));
  const environment = { ...process.env, BENCH_KEY_ID: KEY.id, BENCH_KEY_SECRET: KEY.secret };
  const children = [];
  const config = join(folder, 'config.yaml');
  const document = (endpoint, egress = {}) => ({
    dataDir: join(folder, 'data'),
    egress: { qps: egressQps, ...(egressQps >= 300 && { raisedLimit: true }), ...egress },
    log: { level: 'warn' },
    accounts: {
      bench: {
        endpoint,
        instances: [INSTANCE],
        limits: { qps: accountQps, ...(accountQps >= 500 && { raisedLimit: true }) },
        credentials: { accessKeyIdEnv: 'BENCH_KEY_ID', accessKeySecretEnv: 'BENCH_KEY_SECRET' },
      },
    },
    ...settings,
  });
  // JSON is YAML.
  const write = (path, content) => writeFileSync(path, JSON.stringify(content));
  write(config, document('http://127.0.0.1:1'));

  function start(args, { env = {}, node = [] } = {}) {
    const child = spawn(process.execPath, [...node, COMMAND, ...args], {
      env: { ...environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr.pipe(process.stderr);
    children.push(child);
    return child;
  }

  const sandbox = start(['sandbox', '--port', '0', ...quotas, '--latency', latency, '--config', config]);
  const [endpoint] = await Promise.race([
    once(createInterface(sandbox.stdout), 'line'),
    once(sandbox, 'exit').then(() => Promise.reject(new Error('the sandbox did not start'))),
  ]);
  sandbox.stdout.resume();
  write(config, document(endpoint));

  let workers = 0;
  const stack = {
    folder,
    config,
    endpoint,
    start,
    /** A worker that calls from an address of its own, or from the host's. */
    startWorker({ egress, record = true } = {}) {
      workers += 1;
      const own = join(folder, `worker-${workers}.yaml`);
      write(own, document(endpoint, egress));
      const sends = join(folder, `sends-${workers}.json`);
      const child = start(['worker', '--config', own], {
        env: { BENCH_SENDS: sends },
        node: record ? ['--import', RECORDER] : [],
      });
      return {
        pid: child.pid,
        async stop() {
          await ended(child);
          return existsSync(sends) ? JSON.parse(readFileSync(sends, 'utf8')) : [];
        },
      };
    },
    run(...args) {
      return execFileSync(process.execPath, [COMMAND, ...args, '--config', config], {
        env: environment,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 1 << 28,
      });
    },
    submit(count) {
      const manifest = join(folder, 'manifest.csv');
      writeManifest(manifest, count);
      return JSON.parse(stack.run('submit', manifest, '--execute', '--yes', '--json')).batch;
    },
    status: (batch) => {
      try {
        return JSON.parse(stack.run('status', batch, '--json'));
      } catch (error) {
        // Exit code 1 or 3 tells of dead items or a halt; the status is on standard output anyway.
        return JSON.parse(error.stdout);
      }
    },
    /** Looks into Redis, since a command a second would take CPU from what is measured. */
    async settled(batch, timeoutMs) {
      const deadline = Date.now() + timeoutMs;
      const redis = openRedis(folder);
      try {
        for (;;) {
          const state = await redis.hget(`{certsweep}:batch:${batch}`, 'completedAt');
          if (state !== null) return stack.status(batch);
          if (Date.now() > deadline) throw new Error(`batch ${batch} is not settled in time`);
          await new Promise((resolve) => setTimeout(resolve, 500));
        }
      } finally {
        redis.disconnect();
      }
    },
    seen: async () => (await fetch(`${endpoint}/-/seen`)).json(),
    async stop() {
      for (const child of children) await ended(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return stack;
}

/** Ends a process that may have ended already. */
export async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

/** A connection to the embedded Redis of an installation. */
export function openRedis(folder) {
  const password = readFileSync(join(folder, 'data/redis/password'), 'utf8').trim();
  return new Redis({ path: join(folder, 'data/redis/redis.sock'), password });
}

/** Random serial numbers of 16 bytes in hex, the hardest to pack. */
export function* serialNumbers(count) {
  let seed = 42n;
  const next = () => {
    seed = (seed * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return seed.toString(16).padStart(16, '0');
  };
  for (let row = 0; row < count; row += 1) yield `${next()}${next()}`;
}

/** In pieces: ten million rows are more than one string can hold. */
export function writeManifest(path, count) {
  const file = openSync(path, 'w');
  let text = 'instanceId,caSn,deviceSn\n';
  for (const deviceSn of serialNumbers(count)) {
    text += `${INSTANCE},${CA},${deviceSn}\n`;
    if (text.length < WRITE_BYTES) continue;
    writeSync(file, text);
    text = '';
  }
  writeSync(file, text);
  closeSync(file);
}

/** CPU seconds of a process so far. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The most memory a process ever had resident, kB; 0 once it is gone. */
export function residentPeakKb(pid) {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
  } catch {
    return 0;
  }
}

/** Bytes that Redis has in use. */
export async function usedMemory(redis) {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))[1]);
}

/** The most calls in any window of a second, half open. */
export function worstSecond(times) {
  const sorted = times.toSorted((a, b) => a - b);
  let worst = 0;
  let first = 0;
  for (let last = 0; last < sorted.length; last += 1) {
    while (sorted[last] - sorted[first] >= 1_000) first += 1;
    worst = Math.max(worst, last - first + 1);
  }
  return worst;
}
