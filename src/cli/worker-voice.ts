import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { readWork, type WorkSnapshot } from '../app/work.ts';
import type { AccountTally, Worker } from '../queue/worker/worker.ts';
import type { Config } from '../runtime/config/config.ts';
import { environment } from '../runtime/environment.ts';
import { createLogger, type EventLog, type LogEvent, type LogLevel } from '../runtime/logger.ts';
import { VERSION } from '../runtime/version.ts';
import { describeEvent } from './text/event.ts';
import { Rate } from './text/rate.ts';
import { openScreen, type Screen } from './screen.ts';
import { workerLines, type AccountNow, type WorkerNow } from './text/worker-lines.ts';

const POLL_EVERY_MS = 1_000;

/** What a worker tells goes to one of these: lines of JSON, or a screen. Both hear the same events. */
export interface WorkerVoice {
  readonly log: EventLog;
  /** From now on there are numbers to show. */
  follow(worker: Pick<Worker, 'tallies'>, redis: Redis): void;
  /** What is printed from now on comes below. */
  close(): void;
}

/** A screen where standard error is a terminal; lines of JSON elsewhere, and wherever they are asked for. */
export function openVoice(config: Config, jsonLogs: boolean): WorkerVoice {
  if (process.stderr.isTTY && !jsonLogs) return new WorkerScreen(config);
  const nothing = (): void => undefined;
  return { log: createLogger(config.log.level), follow: nothing, close: nothing };
}

/** The events that begin a phase of the worker. */
const PHASE_OF: Readonly<Record<string, WorkerNow['phase']>> = {
  'worker-started': 'working',
  'worker-stopping': 'stopping',
  'worker-stopped': 'stopped',
};

class WorkerScreen implements WorkerVoice {
  readonly log: EventLog;
  readonly #config: Config;
  readonly #screen: Screen;
  readonly #rates = new Map<string, { readonly calls: Rate; readonly throttled: Rate }>();
  readonly #startedMs = performance.now();
  #phase: WorkerNow['phase'] = 'starting';
  #followed: { readonly worker: Pick<Worker, 'tallies'>; readonly redis: Redis } | undefined;
  #work: WorkSnapshot | undefined;
  #polling: NodeJS.Timeout | undefined;
  #isPolling = false;

  constructor(config: Config) {
    this.#config = config;
    this.#screen = openScreen(process.stderr, (size) => workerLines(this.#now(), size), environment['TERM']);
    const hear = (level: LogLevel) => (event: LogEvent) => this.#hear(level, event);
    this.log = { debug: hear('debug'), info: hear('info'), warn: hear('warn'), error: hear('error') };
  }

  follow(worker: Pick<Worker, 'tallies'>, redis: Redis): void {
    this.#followed = { worker, redis };
    this.#polling = setInterval(() => void this.#poll(redis), POLL_EVERY_MS).unref();
    void this.#poll(redis);
  }

  close(): void {
    clearInterval(this.#polling);
    this.#screen.close();
  }

  #hear(level: LogLevel, event: LogEvent): void {
    this.#phase = PHASE_OF[event.event] ?? this.#phase;
    const text = describeEvent(level, event);
    if (text === undefined) return;
    this.#screen.happened({ atMs: Date.now(), text, isProblem: level === 'warn' || level === 'error' });
  }

  /** Never two at once: a command waits for as long as Redis is away. */
  async #poll(redis: Redis): Promise<void> {
    if (this.#isPolling || redis.status !== 'ready') return;
    this.#isPolling = true;
    try {
      this.#work = await readWork(redis);
    } catch {
      // What was seen last stays; the worker itself tells what is wrong with Redis.
    }
    this.#isPolling = false;
  }

  #now(): WorkerNow {
    const { worker, redis } = this.#followed ?? {};
    const tallies = new Map(worker?.tallies.map((tally) => [tally.account, tally]));
    return {
      version: VERSION,
      host: hostname(),
      pid: process.pid,
      upSeconds: (performance.now() - this.#startedMs) / 1_000,
      phase: this.#phase,
      accounts: this.#config.accounts.map(({ name, qps }) =>
        this.#account(name, Math.min(qps, this.#config.egress.qps), tallies.get(name)),
      ),
      work: this.#work,
      isRedisAway: this.#phase === 'working' && redis !== undefined && redis.status !== 'ready',
    };
  }

  #account(account: string, paceQps: number, tally: AccountTally | undefined): AccountNow {
    const rates = this.#rates.get(account) ?? { calls: new Rate(), throttled: new Rate() };
    this.#rates.set(account, rates);
    const nowMs = performance.now();
    const calls = Object.values(tally?.calls ?? {}).reduce((sum, number) => sum + number, 0);
    return {
      account,
      paceQps,
      rate: rates.calls.perSecond(calls, nowMs),
      isThrottled: rates.throttled.perSecond(tally?.calls.throttled ?? 0, nowMs) > 0,
      inHand: tally?.inHand ?? 0,
      settled: tally?.settled ?? {},
    };
  }
}
