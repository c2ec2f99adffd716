// What is measured of a contender. Each function is one run of one installation.
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEY, usedMemory, worstSecond } from '../stack.mjs';
import { CAP, install } from './installation.mjs';
import { leavesOf, treeCpuMs } from './processes.mjs';

/** Seconds of a pace run. */
const PACE_S = 24;
const PACE_COUNT = CAP * PACE_S;
const OTHER_COUNT = CAP * 7;
const WAITING_COUNT = 20_000;
const CEILING_COUNT = 40_000;
const LIFTED_CAP = 10_000;
/** Cut off at both ends of a pace run: certsweep's ramp (10, 100, all) and everybody's start; the tail, where no work waits. */
const WARM_MS = 4_000;
const TAIL_MS = 1_000;
/** CPU and commands of a pace run are counted between these seconds. Until about the 15th V8 still compiles. */
const STEADY = [16, 23];
/** And here, to show what that costs. */
const FRESH = [3, 9];
/** CPU and commands of a ceiling run are counted between these shares of the calls. */
const FROM = 0.3;
const TO = 0.85;
const KILL_AT = 0.3;
const REVOKE_AT = 0.4;
const RUN_LIMIT_MS = 60_000;
/** A killed BullMQ worker's jobs are taken up again after at most 8 s. */
const AFTER_KILL_MS = 11_000;
const IDLE_MS = 3_000;
const REFUSAL = 'InvalidAccessKeyId.Inactive';

/** The worst sliding second, the share of the cap used, and what a call costs. */
export async function measurePace(contender, processes) {
  return run(contender, { processes, count: PACE_COUNT }, async (installation) => {
    installation.begin();
    const fresh = await costsBetween(installation, FRESH);
    const steady = await costsBetween(installation, STEADY);
    const seen = await until(installation, ({ certificates }) => certificates.called >= PACE_COUNT);
    const sends = await installation.finish();
    const seconds = Math.max(1, Math.floor((sends.at(-1) - TAIL_MS - sends[0] - WARM_MS) / 1_000));
    const from = sends[0] + WARM_MS;
    const paced = sends.filter((time) => time >= from && time < from + seconds * 1_000).length;
    const { worstSecond: arrivedWorst } = Object.values(seen.accounts)[0];
    return {
      sentWorst: worstSecond(sends),
      arrivedWorst,
      witnessLagMs: seen.worstLagMs,
      usedPercent: round((paced / seconds / CAP) * 100, 1),
      cpuMs: steady('cpuMs'),
      freshCpuMs: fresh('cpuMs'),
      redisCommands: steady('commands', 1),
      redisCpuMs: steady('redisCpuMs'),
      unseen: PACE_COUNT - seen.certificates.called,
      /** Above zero the send times are not all there, and this run does not count. */
      sendsMissing: seen.calls - sends.length,
    };
  });
}

/** With nothing to wait for: what one process can do, and what a certificate costs then. Only for those that no cap of their own holds back. */
export async function measureCeiling(contender) {
  const setup = { processes: 1, count: CEILING_COUNT, cap: LIFTED_CAP, latencyMs: 0 };
  return run(contender, setup, async (installation) => {
    installation.begin();
    const start = await costsAt(installation, CEILING_COUNT * FROM);
    const end = await costsAt(installation, CEILING_COUNT * TO);
    const each = perCall(start, end);
    return {
      perSecond: Math.round(1_000 / each('atMs', 9)),
      ceilingCpuMs: each('cpuMs'),
      ceilingRedisCpuMs: each('redisCpuMs'),
      ceilingRedisCommands: each('commands', 1),
    };
  });
}

/** One process dies in the middle, and another takes its place. Every answer is a success or "not there", so a second call is a doubled one. */
export async function measureKill(contender) {
  return run(contender, { processes: 2, count: OTHER_COUNT }, async (installation) => {
    installation.begin();
    await until(installation, ({ calls }) => calls >= OTHER_COUNT * KILL_AT);
    const [victim] = leavesOf(installation.pids()[0]);
    process.kill(victim, 'SIGKILL');
    const killedMs = performance.now();
    await sleep(500);
    if (contender.kind !== 'shell') installation.startWorker(0);
    const seen = await until(
      installation,
      ({ certificates }, idleMs) =>
        performance.now() - killedMs > AFTER_KILL_MS &&
        idleMs > IDLE_MS / 2 &&
        (certificates.called >= OTHER_COUNT || idleMs > 2 * AFTER_KILL_MS),
    );
    const { called, calledAgain } = seen.certificates;
    return { lost: OTHER_COUNT - called, doubled: calledAgain };
  });
}

/** The sandbox throttles above 500 a second, as the cloud does. */
export async function measureThrottled(contender) {
  return run(contender, { processes: 2, count: OTHER_COUNT, enforce: true }, async (installation) => {
    installation.begin();
    const seen = await until(installation, ({ deletions }) => deletions >= OTHER_COUNT);
    return { throttled: seen.byCode['Throttling.User'] ?? 0, undone: OTHER_COUNT - seen.deletions };
  });
}

/** The key is refused from the middle on. */
export async function measureCredential(contender) {
  return run(contender, { processes: 2, count: OTHER_COUNT }, async (installation) => {
    installation.begin();
    const before = await until(installation, ({ calls }) => calls >= OTHER_COUNT * REVOKE_AT);
    const body = JSON.stringify({ accessKeyId: KEY.id, code: REFUSAL });
    const headers = { 'content-type': 'application/json' };
    await fetch(`${installation.stack.endpoint}/-/keys/revoke`, { method: 'POST', headers, body });
    const seen = await until(installation, (_, idleMs) => idleMs > IDLE_MS, 15_000);
    return { refused: seen.byCode[REFUSAL] ?? 0, leftWhenRefused: OTHER_COUNT - before.calls };
  });
}

/** Bytes of Redis for each item that waits, before anything works on it and, for certsweep, which feeds BullMQ bit by bit, while it works. */
export async function measureWaiting(contender) {
  return run(contender, { processes: 1, count: WAITING_COUNT }, async (installation) => {
    const bytes = () => usedMemory(installation.redis);
    const before = await bytes();
    installation.fill();
    const waiting = { bytesPerWaiting: round(((await bytes()) - before) / WAITING_COUNT, 1) };
    if (contender.kind !== 'certsweep') return waiting;
    installation.startWorker(0);
    const { calls } = await until(installation, (seen) => seen.calls >= CAP * 4);
    return { ...waiting, bytesPerWaitingAtWork: round(((await bytes()) - before) / (WAITING_COUNT - calls), 1) };
  });
}

async function run(contender, setup, measure) {
  const loadBefore = loadavg()[0];
  const installation = await install(contender, setup);
  try {
    return { loadBefore, ...(await measure(installation)) };
  } catch (error) {
    throw new Error(`${contender.name}: ${error.message}; it said: ${installation.said()}`, { cause: error });
  } finally {
    await installation.close();
  }
}

/** What a call costs between two seconds of a run at the cap. */
async function costsBetween(installation, [from, to]) {
  const start = await costsAt(installation, CAP * from);
  return perCall(start, await costsAt(installation, CAP * to));
}

function perCall(start, end) {
  return (name, digits = 3) => round((end[name] - start[name]) / (end.calls - start.calls), digits);
}

async function costsAt(installation, calls) {
  const seen = await until(installation, (report) => report.calls >= calls);
  const stats = await installation.redis.info('stats');
  return {
    atMs: performance.now(),
    calls: seen.calls,
    cpuMs: installation.pids().reduce((sum, pid) => sum + treeCpuMs(pid), 0),
    redisCpuMs: treeCpuMs(installation.redisPid),
    commands: Number(/total_commands_processed:(\d+)/.exec(stats)[1]),
  };
}

/** Asks the witness until the answer fits; after the limit the last answer has to do. `idleMs` is how long no call came. */
async function until(installation, fits, limitMs = RUN_LIMIT_MS) {
  const startMs = performance.now();
  let changedMs = startMs;
  let before = -1;
  for (;;) {
    const seen = await installation.seen();
    const nowMs = performance.now();
    if (seen.calls !== before) changedMs = nowMs;
    before = seen.calls;
    if (fits(seen, nowMs - changedMs) || nowMs - startMs > limitMs) return seen;
    await sleep(50);
  }
}

const round = (value, digits) => Number(value.toFixed(digits));
