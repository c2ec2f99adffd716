// One contender set up on loopback: the sandbox as witness in its own process, the embedded Redis with certsweep's own settings, and the contender's processes.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openRedis as openEmbedded } from '../../dist/runtime/redis/open-redis.js';
import { CA, ended, INSTANCE, KEY, openRedis, RECORDER, serialNumbers, startStack } from '../stack.mjs';

export const CAP = 490;
export const LATENCY_MS = 20;
/** Work for each start of the shell loop's command, so that the start of Node weighs little. */
const CHUNK_SECONDS = 2;
/** For programs that end by themselves, to do so. */
const END_MS = 5_000;
/** Only the account's quota is compared; all processes share one address. */
const NO_EGRESS_QUOTA = ['--egress-qps', '1000000'];

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/**
 * @param enforce - whether the sandbox throttles above the cloud's 500 a second
 * @param cap - of certsweep; the others have theirs in their programs
 */
export async function install(contender, { processes, count, enforce = false, cap = CAP, latencyMs = LATENCY_MS }) {
  const stack = await startStack({
    latency: String(latencyMs),
    accountQps: cap,
    egressQps: cap,
    sandbox: enforce ? NO_EGRESS_QUOTA : ['--no-enforce'],
  });
  const { folder } = stack;
  const server = await openEmbedded({ dataDir: join(folder, 'data') }, () => undefined);
  const redis = openRedis(folder);
  const list = join(folder, 'list.txt');
  writeFileSync(list, `${[...serialNumbers(count)].join('\n')}\n`);
  const log = join(folder, 'log.txt');
  const logFile = openSync(log, 'a');
  const workers = [];

  const environment = (index) => ({
    ...process.env,
    BENCH_SENDS: join(folder, 'sends-%p.json'),
    PEER_ENDPOINT: stack.endpoint,
    PEER_KEY_ID: KEY.id,
    PEER_KEY_SECRET: KEY.secret,
    PEER_INSTANCE: INSTANCE,
    PEER_CA: CA,
    PEER_CAP: String(CAP),
    PEER_PROCESSES: String(processes),
    PEER_INDEX: String(index),
    PEER_LIST: list,
    PEER_FOLDER: folder,
    PEER_CHUNK: String(Math.ceil((CAP * CHUNK_SECONDS) / processes)),
    PEER_NODE_ARGS: `--import ${RECORDER}`,
    PEER_REDIS_SOCKET: server.options.path,
    PEER_REDIS_PASSWORD: server.options.password,
  });

  function startWorker(index) {
    if (contender.kind === 'certsweep') return workers.push(stack.startWorker());
    const [command, ...args] =
      contender.kind === 'shell'
        ? ['sh', here(contender.program)]
        : [process.execPath, '--import', RECORDER, here(contender.program)];
    // A group of its own: ending the shell's process alone would leave its commands behind.
    const options = { env: environment(index), stdio: ['ignore', logFile, logFile], detached: true };
    const child = spawn(command, args, options);
    return workers.push({
      pid: child.pid,
      async stop() {
        if (contender.kind === 'bullmq') return ended(child);
        if (child.exitCode !== null || child.signalCode !== null) return undefined;
        // These end by themselves, once the last answer is in.
        const exit = once(child, 'exit');
        const giveUp = setTimeout(() => process.kill(-child.pid, 'SIGTERM'), END_MS);
        await exit;
        return clearTimeout(giveUp);
      },
    });
  }

  return {
    stack,
    redis,
    redisPid: Number(/process_id:(\d+)/.exec(await redis.info('server'))[1]),
    pids: () => workers.map(({ pid }) => pid),
    /** Puts the work where it waits; nothing works on it yet. */
    fill() {
      if (contender.kind === 'certsweep') stack.submit(count);
      if (contender.kind === 'bullmq') {
        execFileSync(process.execPath, [here('enqueue.mjs'), list], { env: environment(0), stdio: 'inherit' });
      }
    },
    startWorker,
    /** certsweep's workers are up before the work comes, as a service is; the others start with it waiting. */
    begin() {
      const starters = contender.kind === 'shell' ? 1 : processes;
      const startAll = () => Array.from({ length: starters }, (_, index) => startWorker(index));
      if (contender.kind === 'certsweep') startAll();
      this.fill();
      if (contender.kind !== 'certsweep') startAll();
    },
    seen: stack.seen,
    /** Ends the contender's processes. @returns when each call left, sorted, in milliseconds */
    async finish() {
      await Promise.all(workers.map((worker) => worker.stop()));
      const files = readdirSync(folder).filter((name) => name.startsWith('sends-'));
      return files.flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))).toSorted((a, b) => a - b);
    },
    said: () => readFileSync(log, 'utf8').trim().split('\n').slice(-3).join(' | '),
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()));
      redis.disconnect();
      await server.close();
      await stack.stop();
    },
  };
}
