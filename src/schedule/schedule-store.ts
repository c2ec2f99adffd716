import { createHash } from 'node:crypto';
import { auditNote, type Motive } from '../audit/note.ts';
import type { LedgerStore, ScheduleKeys } from '../ledger/keys.ts';
import type { ScheduleConfig } from '../runtime/config/config.ts';
import { script } from '../runtime/redis/script.ts';
import { CLAIM, END, READ, PAUSE, RELEASE, RESUME } from './schedule-scripts.lua.ts';

/** How an occurrence ended; each is final. Only `activated` has a batch. */
export const OCCURRENCE_STATES = ['activated', 'skipped', 'planned', 'failed'] as const;
export type OccurrenceState = (typeof OCCURRENCE_STATES)[number];

export interface OccurrenceEnd {
  readonly occurrence: string;
  readonly state: OccurrenceState;
  readonly batch: string | null;
  /** For people; empty where there is nothing to say. */
  readonly reason: string;
  /** Unix milliseconds. */
  readonly at: number;
  /** Something spoke against the plan, and a person must check it. */
  readonly isStopped?: true;
}

/** What Redis knows of a schedule. Times are Unix milliseconds. */
export interface ScheduleState {
  /** What is not later than this is no occurrence of the rule as it stands. */
  readonly sinceMs: number;
  /** The last occurrence of the timetable that was dealt with. */
  readonly cursor: string | undefined;
  /** When the last run ended. */
  readonly endedAt: number;
  /** The last one; undefined where it has come to its end, or there was none. */
  readonly openBatch: string | undefined;
  /** The schedule has paused for that batch before. */
  readonly isBlamed: boolean;
  /** Why it is paused; undefined where it is not. */
  readonly paused: string | undefined;
  /** Rows of the listings of the last run, by what was listed. */
  readonly listed: Readonly<Record<string, number>>;
}

/** After this time without renewal, another process may take the claim. */
export const CLAIM_MS = 15_000;
/** So often it is noted that a rule is in force, and after so long without, another that is has taken its place. */
const SEEN_EVERY_MS = 10_000;
const FORGOTTEN_AFTER_MS = 60_000;

const readScript = script<[string, string[]]>(READ);
const claimScript = script<'claimed' | 'held' | 'ended'>(CLAIM);
const releaseScript = script<null>(RELEASE);
const endScript = script<number>(END);
const pauseScript = script<number>(PAUSE);
const resumeScript = script<number>(RESUME);

/** What is known of schedules, and what is done to them; each change is one step in Redis. */
export class ScheduleStore {
  readonly #store: LedgerStore;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /** Reads it, and notes that the configuration has this rule. */
  async read(rule: ScheduleConfig, nowMs: number): Promise<ScheduleState> {
    const args = [digestOf(rule), nowMs, SEEN_EVERY_MS, FORGOTTEN_AFTER_MS];
    const [since, fields] = await readScript(this.#store.redis, [this.#keysOf(rule.name).state], args);
    const of = new Map(Array.from({ length: fields.length / 2 }, (_, at) => [fields[2 * at], fields[2 * at + 1]]));
    return stateOf(of, Number(since));
  }

  /** Reads it, and changes nothing. */
  async find(name: string): Promise<ScheduleState> {
    return stateOf(new Map(Object.entries(await this.#store.redis.hgetall(this.#keysOf(name).state))), 0);
  }

  /** Takes an occurrence, or keeps it for another `CLAIM_MS`. */
  async claim(name: string, id: string, holder: string, nowMs: number): Promise<'claimed' | 'held' | 'ended'> {
    const { state, claim, ends } = this.#keysOf(name);
    return claimScript(this.#store.redis, [state, claim, ends], [id, holder, CLAIM_MS, nowMs]);
  }

  async release(name: string, holder: string): Promise<void> {
    await releaseScript(this.#store.redis, [this.#keysOf(name).claim], [holder]);
  }

  /**
   * Ends an occurrence without a batch.
   * @param isRun - it was at work: what became due meanwhile would have overlapped
   * @returns false if another process has it, or it has ended
   */
  async end(
    name: string,
    { occurrence: id, ...entry }: Omit<OccurrenceEnd, 'batch'>,
    { holder, isDue, isRun, isPause }: { holder: string; isDue: boolean; isRun: boolean; isPause: boolean },
  ): Promise<boolean> {
    const { state, claim, ends, order } = this.#keysOf(name);
    const { stream, head } = this.#store.keys.audit;
    const ending = { id, isDue, entry, ...(isRun && { endedAt: entry.at }) };
    const motive = { requestedBy: `schedule ${name}`, reason: entry.reason };
    const note = isPause ? auditNote({ event: 'schedule-pause', schedule: name, ...motive }) : '';
    const args = [holder, JSON.stringify(ending), note, entry.at];
    return (await endScript(this.#store.redis, [state, claim, ends, order, stream, head], args)) === 1;
  }

  /** @returns false where it is paused already */
  async pause(name: string, because: string, nowMs: number, motive: Motive, batch = ''): Promise<boolean> {
    const { stream, head } = this.#store.keys.audit;
    const note = auditNote({ event: 'schedule-pause', schedule: name, ...motive });
    const keys = [this.#keysOf(name).state, stream, head];
    return (await pauseScript(this.#store.redis, keys, [note, because, nowMs, batch])) === 1;
  }

  /** @returns false where it is not paused */
  async resume(name: string, nowMs: number, motive: Motive): Promise<boolean> {
    const { stream, head } = this.#store.keys.audit;
    const note = auditNote({ event: 'schedule-resume', schedule: name, ...motive });
    return (await resumeScript(this.#store.redis, [this.#keysOf(name).state, stream, head], [note, nowMs])) === 1;
  }

  /** The batch has ended: it is not checked again. */
  async isOver(name: string, batch: string): Promise<void> {
    await this.#store.redis.hset(this.#keysOf(name).state, 'over', batch);
  }

  /** Keeps how long the listings of a run were. */
  async keepListed(name: string, listed: Readonly<Record<string, number>>): Promise<void> {
    await this.#store.redis.hset(this.#keysOf(name).state, 'listed', JSON.stringify(listed));
  }

  /** How its occurrences ended, the last one first. */
  async history(name: string, most = 100): Promise<OccurrenceEnd[]> {
    const { ends, order } = this.#keysOf(name);
    const ids = await this.#store.redis.lrange(order, 0, most - 1);
    if (ids.length === 0) return [];
    const texts = await this.#store.redis.hmget(ends, ...ids);
    return texts.flatMap((text, at) => {
      if (text === null) return [];
      const { batch, ...end } = JSON.parse(text) as Omit<OccurrenceEnd, 'occurrence' | 'batch'> & { batch?: string };
      return [{ occurrence: ids[at] ?? '', ...end, batch: batch ?? null }];
    });
  }

  #keysOf(name: string): ScheduleKeys {
    return this.#store.keys.schedule(name);
  }
}

function stateOf(fields: ReadonlyMap<string | undefined, string | undefined>, ruleSinceMs: number): ScheduleState {
  const batch = fields.get('batch');
  return {
    sinceMs: Math.max(ruleSinceMs, Number(fields.get('resumedAt') ?? 0)),
    cursor: fields.get('cursor'),
    endedAt: Number(fields.get('endedAt') ?? 0),
    openBatch: fields.get('over') === batch ? undefined : batch,
    isBlamed: batch !== undefined && fields.get('blamed') === batch,
    paused: fields.get('paused'),
    listed: JSON.parse(fields.get('listed') ?? '{}') as Record<string, number>,
  };
}

/** A rule is another one as soon as anything of it is. */
function digestOf(rule: ScheduleConfig): string {
  return createHash('sha256').update(JSON.stringify(rule)).digest('base64url').slice(0, 22);
}
