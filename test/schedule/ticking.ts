import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { submitPlan } from '../../src/app/submit-plan.ts';
import type { Store } from '../../src/app/store.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { parseDailyWindow } from '../../src/core/daily-window.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { planLine, withId, writePlanFile } from '../../src/plan/plan-file.ts';
import type { ScheduleConfig } from '../../src/runtime/config/config.ts';
import { waitsBecause } from '../../src/schedule/batch-watch.ts';
import type { RunEnd, RunRequest } from '../../src/schedule/run.ts';
import { ScheduleStore, type OccurrenceEnd } from '../../src/schedule/schedule-store.ts';
import { ScheduleTicker, type ScheduleEvent } from '../../src/schedule/ticker.ts';
import { createHash } from 'node:crypto';
import { AppRoom } from '../app/app-room.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

export const RULE: ScheduleConfig = {
  name: 'tidy',
  cron: '0 3 * * *',
  timezone: 'UTC',
  instances: ['post-cn-a'],
  select: { cas: [], status: 'active' },
  action: 'delete',
  maxItems: 5_000,
  maxShareOfCa: 1,
  catchUpForMs: 24 * HOUR_MS,
  execute: true,
};

export const windowOf = (text: string): NonNullable<ScheduleConfig['window']> => {
  const window = parseDailyWindow(text);
  if (window === undefined) throw new Error(`${text} is no window`);
  return window;
};

/** One process that looks after schedules, on a connection of its own. */
export interface Host {
  tick(): Promise<void>;
  /** As if its process had been killed: whatever it is at reaches Redis no more. */
  kill(): void;
}

/** A ledger, a clock that is set by hand, and hosts that look after a schedule; each run is a plan file of one certificate. */
export class Ticking extends AppRoom {
  readonly events: ScheduleEvent[] = [];
  readonly schedules = new ScheduleStore(this.ledger);
  nowMs = Date.parse('2026-03-01T12:00:00Z');
  /** Runs that were begun. */
  runs = 0;
  /** How the next runs end in place of a batch. */
  instead: ((request: RunRequest) => Promise<RunEnd>) | undefined;
  #folder: string | undefined;
  readonly #clients: ReturnType<typeof this.redis.duplicate>[] = [];

  static async open(): Promise<Ticking> {
    const room = new Ticking();
    room.#folder = await mkdtemp(join(tmpdir(), 'certsweep-ticking-'));
    return room;
  }

  /** @param isAt - told of each step of a run, for who wants to kill the host there */
  host(rule: ScheduleConfig = RULE, isAt: (step: 'planned' | 'submitting') => void = () => undefined): Host {
    const redis = this.redis.duplicate();
    redis.on('error', () => undefined);
    this.#clients.push(redis);
    const ledger = new Ledger(redis, this.keys.prefix);
    const ending = new AbortController();
    const ticker = new ScheduleTicker(rule, {
      ledger,
      store: new ScheduleStore(ledger),
      now: () => Promise.resolve(this.nowMs),
      tell: (event) => this.events.push(event),
      signal: ending.signal,
      run: async (request) => {
        this.runs += 1;
        if (this.instead !== undefined) return this.instead(request);
        const store: Store = { ...(await this.store()), redis, ledger };
        const path = await this.#planFile(this.runs);
        isAt('planned');
        const waits = waitsBecause(rule, this.nowMs);
        const occurrence = { ...request.claim, nowMs: this.nowMs, ...(waits !== undefined && { waitsBecause: waits }) };
        const submitting = submitPlan(store, path, { priority: 'bulk', occurrence });
        isAt('submitting');
        const outcome = await submitting;
        if (outcome.kind === 'running') return { kind: 'activated', batch: outcome.submitted.batch, reason: '' };
        return { kind: 'left' };
      },
    });
    return {
      tick: () => ticker.tick(),
      kill() {
        ending.abort();
        redis.disconnect();
      },
    };
  }

  /** Every item of every batch that is open is settled. */
  async finishBatches(): Promise<void> {
    for (const { id } of await this.ledger.batches.active()) await this.settle(id, 0, 'revoked');
  }

  /** How the occurrences ended, the first one first, as `<local time> <state>`. */
  async ends(rule: ScheduleConfig = RULE): Promise<string[]> {
    const ends = await this.schedules.history(rule.name, 1_000);
    return ends.toReversed().map(({ occurrence, state }) => `${occurrence.replace(/^.*@|\[.*$/g, '')} ${state}`);
  }

  async last(rule: ScheduleConfig = RULE): Promise<OccurrenceEnd> {
    const [last] = await this.schedules.history(rule.name, 1);
    if (last === undefined) throw new Error('nothing has ended');
    return last;
  }

  override async cleanup(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
    await super.cleanup();
  }

  /** As a plan of one certificate leaves it. */
  async #planFile(n: number): Promise<string> {
    const certificate: Certificate = {
      instanceId: 'post-cn-a',
      caSn: 'CA01',
      deviceSn: randomBytes(12).toString('hex'),
    };
    const path = join(this.#folder ?? '', `${n}.plan`);
    const { config } = await this.store();
    const [account] = config.accounts;
    const header = withId({
      version: 1,
      action: 'delete',
      accounts: [{ name: account?.name ?? '', endpoint: account?.endpoint ?? '' }],
      instances: [{ instanceId: 'post-cn-a', account: account?.name ?? '', certificates: 1 }],
      certificates: 1,
      classes: { active: 1, inactive: 0, absent: 0, otherCa: 0 },
      // The plan's age is by Redis' clock.
      inventory: { atMs: Date.now(), state: 'stable' },
      manifestSha256: null,
      sha256: createHash('sha256').update(planLine(certificate)).digest('hex'),
    });
    await writePlanFile(path, header, () => [certificate]);
    return path;
  }
}
