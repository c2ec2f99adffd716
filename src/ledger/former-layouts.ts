import type { Attempt } from '../core/decide.ts';
import { CLOCK, script } from '../runtime/redis/script.ts';
import type { Batch } from './batch-record.ts';
import type { DeadLetter } from './dead-letters.ts';
import { isDirectBatch } from './direct-items.ts';
import type { LedgerStore } from './keys.ts';
import { ATTEMPTS, DEATHS } from './script-parts.lua.ts';

/** From this layout on, no job is for a single item of a submitted batch, and what is retried waits in the ledger. */
const WAITING_SINCE = 3;

/** The `run` of a job that a version with layout 1 wrote: its notes had no names. */
export const UNNAMED_RUN = 'unnamed';

/**
 * Lua: `takeNote(layout)` takes an older version's note of a call away, and tells which run wrote it. Needs notes, departed and n; `layout` is the
 * batch's, which version 1 did not write.
 */
const NOTES = `local function takeNote(layout)
  local note = redis.call('HGET', notes, n)
  redis.call('HDEL', notes, n)
  if not layout and redis.call('GETBIT', departed, n) == 1 then
    note = note or '${UNNAMED_RUN}'
    redis.call('SETBIT', departed, n, 0)
  end
  return note
end`;

/**
 * Takes over what a version before layout 3 knew of an item, unless that was done: its note of a call, and what its job says of its past.
 * KEYS record attempts notes departed settled history retries; ARGV n failures calls unknown run deaths.
 */
const TAKE_OVER = `local record, attempts, notes, departed, settled, history, retries = unpack(KEYS)
local n, failures, calls, unknown, run, deaths = unpack(ARGV)
${ATTEMPTS}
${NOTES}
local layout = redis.call('HGET', record, 'layout')
if tonumber(layout or 1) >= ${WAITING_SINCE} or redis.call('GETBIT', settled, n) == 1 then return end
-- Layout 1 kept earlier deaths in the job. What was never retried has none.
if deaths ~= '' and redis.call('HEXISTS', retries, n) == 1 then redis.call('HSETNX', history, n, deaths) end
if redis.call('HEXISTS', attempts, n) == 1 then return end
local note = takeNote(layout)
-- A record of calls that were never noted was made up.
if not note then return end
local attempt = { failures = tonumber(failures), calls = tonumber(calls), unknown = unknown == '1', crashes = 0, run = '' }
if note ~= run then attempt.unknown = true end
redis.call('HSET', attempts, n, attemptText(attempt))`;

/**
 * Has a retried dead letter wait that an older version noted for its feeder, unless another process has taken it over, or it was retried again
 * since. If the item still has a job, because its feeder died in between, the waiting place takes precedence.
 * KEYS reopened settled record attempts notes departed history waiting; ARGV batch n letter. Replies 1, or 0 where there was nothing to do.
 */
const TAKE_OVER_RETRIED = `local reopened, settled, record, attempts, notes, departed, history, waiting = unpack(KEYS)
local batch, n, letter = unpack(ARGV)
${ATTEMPTS}
${NOTES}
${DEATHS}
${CLOCK}
if redis.call('HGET', reopened, n) ~= letter then return 0 end
redis.call('HDEL', reopened, n)
if redis.call('GETBIT', settled, n) == 1 then return 0 end
local known = cjson.decode(letter)
local note = takeNote(redis.call('HGET', record, 'layout'))
if redis.call('HEXISTS', attempts, n) == 0 and (known.effectUnknown or note) then
  redis.call('HSET', attempts, n, EFFECT_UNKNOWN)
end
-- Layout 2 has written them apart already, the letter's own death among them.
if redis.call('HEXISTS', history, n) == 0 then redis.call('HSET', history, n, cjson.encode(deathsOf(known))) end
redis.call('ZADD', waiting, 'NX', clockMs(), batch .. ' ' .. n)
return 1`;

const takeOverScript = script<null>(TAKE_OVER);
const takeOverRetriedScript = script<number>(TAKE_OVER_RETRIED);
/** Letters read from Redis at once. */
const PAGE = 500;

/** Where running batches are listed. */
interface BatchList {
  active(): Promise<readonly Batch[]>;
}

/** What versions before layout 3 left of batches that are not finished, and how it is taken over. */
export class FormerLayouts {
  readonly #store: LedgerStore;
  readonly #batches: BatchList;

  constructor(store: LedgerStore, batches: BatchList) {
    this.#store = store;
    this.#batches = batches;
  }

  /**
   * Has the retried dead letters of running batches wait that older versions left for their feeders. To be called before a worker takes anything; a
   * second time it finds nothing.
   */
  async takeOverRetried(): Promise<void> {
    for (const batch of await this.#batches.active()) if (isFormer(batch)) await this.#takeOverLetters(batch.id);
  }

  /** Whether jobs of an older version may be for items of submitted batches, in the queue of the direct ones. */
  async mayHaveJobs(): Promise<boolean> {
    return (await this.#batches.active()).some((batch) => isFormer(batch) && !isDirectBatch(batch.id));
  }

  /** How often an older version retried the item's dead letter. */
  async retries(batch: string, n: number): Promise<number> {
    const { redis, keys } = this.#store;
    return Number((await redis.hget(keys.of(batch).retries, String(n))) ?? 0);
  }

  /** Of each item, whether an older version noted a call of it that has not been taken over. */
  async areNoted(batch: string, ordinals: readonly number[]): Promise<boolean[]> {
    if (ordinals.length === 0) return [];
    const { redis, keys } = this.#store;
    const { notes, departed } = keys.of(batch);
    const bits = ordinals.flatMap((n) => ['GET', 'u1', n]).slice(1);
    const [names, unnamed] = await Promise.all([
      redis.hmget(notes, ...ordinals.map(String)),
      redis.bitfield_ro(departed, 'GET', ...bits),
    ]);
    return ordinals.map((_, at) => names[at] !== null || unnamed[at] === 1);
  }

  /**
   * Takes over what an older version knew of an item, where nothing is known of it yet: its note of a call, and what its job says of its past.
   * @param run - the run whose call the job reports
   * @param deaths - of a retried item, those that its job reports, as JSON; empty where it reports none
   */
  async takeOver(batch: string, n: number, attempt: Attempt, run: string, deaths = ''): Promise<void> {
    const { redis, keys } = this.#store;
    const { record, attempts, notes, departed, settled, history, retries } = keys.of(batch);
    const { failures, calls, effectUnknown } = attempt;
    const args = [n, failures, calls, effectUnknown ? 1 : 0, run, deaths];
    await takeOverScript(redis, [record, attempts, notes, departed, settled, history, retries], args);
  }

  /** Takes over what an older version noted of items that nothing but the ledger reports: a call of those may have worked. */
  async takeOverNotes(batch: string, ordinals: readonly number[]): Promise<void> {
    const isNoted = await this.areNoted(batch, ordinals);
    const unknown = { failures: 0, calls: 0, effectUnknown: true };
    for (const [at, n] of ordinals.entries()) if (isNoted[at] === true) await this.takeOver(batch, n, unknown, '');
  }

  async #takeOverLetters(batch: string): Promise<void> {
    const { redis, keys } = this.#store;
    const of = keys.of(batch);
    const pages = redis.hscanStream(of.reopened, { count: PAGE }) as AsyncIterable<string[]>;
    for await (const page of pages) {
      for (let at = 0; at + 1 < page.length; at += 2) {
        const [n = '', letter = ''] = page.slice(at, at + 2);
        const { instanceId } = JSON.parse(letter) as Pick<DeadLetter, 'instanceId'>;
        const about = [of.record, of.attempts, of.notes, of.departed, of.history, keys.waiting(instanceId)];
        await takeOverRetriedScript(redis, [of.reopened, of.settled, ...about], [batch, n, letter]);
      }
    }
  }
}

function isFormer({ layout }: Batch): boolean {
  return layout < WAITING_SINCE;
}
