import { createHash, randomBytes, type Hash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { auditNote, type Motive } from '../audit/note.ts';
import { DEFAULT_ACTION, type Action } from '../core/action.ts';
import type { Certificate } from '../core/certificate.ts';
import { DEFAULT_SOAK_MS, type RetireDetails } from '../core/retirement.ts';
import { resultOf } from '../runtime/redis/command-result.ts';
import { script } from '../runtime/redis/script.ts';
import { activateScript, activationArguments, activationKeys, type Activated, type LateDetails } from './activation.ts';
import { FEED_RANK, type Priority } from './batch-record.ts';
import { WITHDRAW } from './batch-scripts.lua.ts';
import { appendChunk, CHUNK_ITEMS, packChunk, type ChunkRanges } from './chunk.ts';
import type { LedgerKeys, LedgerStore } from './keys.ts';
import { occurrenceKeys } from './occurrence-claim.ts';

/** How long a plan that nobody activates is kept after its last write. */
const PLAN_TTL_SECONDS = 3_600;
/** Chunks that may be on their way to Redis at once: bounds memory without a round trip for each. */
const WRITES_IN_FLIGHT = 8;

const withdrawScript = script<null>(WITHDRAW);

export interface PlanDetails extends Motive {
  readonly priority: Priority;
  /** What the batch does with its certificates; it deletes when not given. */
  readonly action?: Action;
  /** Of a batch that retires; by default a day, and nothing is known to be destroyed. */
  readonly retire?: Partial<RetireDetails>;
}

/**
 * A batch while it is written: invisible to the workers until `activate`, and gone by itself when the submitter dies.
 * Items get their ordinals in the order in which they are added.
 */
export class Plan {
  readonly batch: string;
  readonly #redis: Redis;
  readonly #keys: LedgerKeys;
  readonly #details: PlanDetails;
  readonly #action: Action;
  readonly #retire: RetireDetails | undefined;
  readonly #fingerprint: Hash = createHash('sha256');
  readonly #lanes = new Map<string, ChunkRanges>();
  #open: Certificate[] = [];
  #chunks = 0;
  #accepted = 0;
  #writes: Promise<unknown>[] = [];

  /** @param nowMs - Unix milliseconds; only makes the name sort by age */
  constructor({ redis, keys }: LedgerStore, details: PlanDetails, nowMs: number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#details = details;
    this.#action = details.action ?? DEFAULT_ACTION;
    if (this.#action === 'retire')
      this.#retire = { soakMs: DEFAULT_SOAK_MS, deviceDestroyed: false, ...details.retire };
    // No certificate has an empty field, so with another action no manifest has the same text.
    if (this.#action !== DEFAULT_ACTION) this.#fingerprint.update(`${this.#action}\0\0`);
    this.batch = batchId(nowMs);
  }

  get accepted(): number {
    return this.#accepted;
  }

  async add(certificate: Certificate): Promise<void> {
    this.#open.push(certificate);
    this.#accepted += 1;
    if (this.#open.length === CHUNK_ITEMS) await this.#writeChunk();
  }

  /**
   * Makes it run, in one step, when everything has been added. May be called again when its reply was lost.
   * @throws Redis' error when it certainly does not run
   */
  async activate({ planId, awaiting, claim, occurrence, ...late }: LateDetails = {}): Promise<Activated> {
    if (this.#open.length > 0) await this.#writeChunk();
    await this.#landed();
    const of = this.#keys.of(this.batch);
    const lanes = [...this.#lanes].flatMap(([instanceId, ranges]) => [instanceId, JSON.stringify(ranges)]);
    await this.#redis
      .multi()
      .hset(of.lanes, ...lanes)
      .expire(of.lanes, PLAN_TTL_SECONDS)
      .exec();
    const keys = activationKeys(this.#keys, this.batch);
    if (planId !== undefined) keys.push(this.#keys.usedPlan(planId));
    if (claim !== undefined) keys.push(this.#keys.claim(claim.id));
    if (occurrence !== undefined) keys.push(...occurrenceKeys(this.#keys, occurrence.schedule));
    const { priority, action: _, retire: __, ...motive } = this.#details;
    const retire = this.#retire;
    const fingerprint = this.#fingerprint.copy().digest('base64url');
    const rank = FEED_RANK[priority];
    const event = awaiting === undefined ? 'submit' : 'approval-asked';
    const note = auditNote({
      event,
      batch: this.batch,
      action: this.#action,
      ...(retire !== undefined && { retire }),
      ...motive,
      ...late,
    });
    const [certificates, chunks] = [this.#accepted, this.#chunks];
    const counted = { batch: this.batch, fingerprint, certificates, chunks, rank };
    const args = activationArguments(counted, note, { planId, awaiting, claim, occurrence, ...late });
    const result = await resultOf(this.#redis, () => activateScript(this.#redis, keys, args));
    if (result.kind === 'unknown') return { kind: 'unknown', batch: this.batch, error: result.error };
    if (result.kind === 'refused') {
      await this.discard();
      throw result.error;
    }
    const winner = result.reply;
    if (winner === this.batch) return { kind: awaiting === undefined ? 'running' : 'awaits-approval', batch: winner };
    await this.discard();
    if (winner === '?') return { kind: occurrence === undefined ? 'claim-lost' : 'overtaken' };
    if (winner.startsWith('!')) return { kind: 'used', batch: winner.slice(1) };
    return winner === '' ? { kind: 'gone' } : { kind: 'duplicate', batch: winner };
  }

  /** Takes every trace away; for a plan that was refused. What Redis does not take away now is gone within the hour. */
  async discard(): Promise<void> {
    await Promise.allSettled(this.#writes);
    const of = this.#keys.of(this.batch);
    const keys = [of.record, of.chunks, of.lanes, this.#keys.batches];
    await withdrawScript(this.#redis, keys, [this.batch]).catch(() => undefined);
  }

  async #writeChunk(): Promise<void> {
    const chunk = this.#chunks;
    const items = this.#open;
    this.#chunks += 1;
    this.#open = [];
    for (const instanceId of new Set(items.map((item) => item.instanceId))) {
      this.#lanes.set(instanceId, appendChunk(this.#lanes.get(instanceId) ?? [], chunk));
    }
    // A NUL cannot be part of a certificate, so no two manifests have one text.
    this.#fingerprint.update(items.map((c) => `${c.instanceId}\0${c.caSn}\0${c.deviceSn}\0`).join(''));
    const of = this.#keys.of(this.batch);
    const write = this.#redis.multi();
    if (chunk === 0) this.#writeRecord(write);
    const packed = packChunk(items, this.#action);
    write
      .hset(of.chunks, String(chunk), packed)
      .expire(of.chunks, PLAN_TTL_SECONDS)
      .expire(of.record, PLAN_TTL_SECONDS);
    const written = write.exec();
    // Its failure reaches the code that awaits the writes, and must not end the process before.
    written.catch(() => undefined);
    this.#writes.push(written);
    if (this.#writes.length >= WRITES_IN_FLIGHT) await this.#landed();
  }

  /** @throws the error of the first write that failed */
  async #landed(): Promise<void> {
    const writes = this.#writes;
    this.#writes = [];
    for (const results of await Promise.all(writes)) {
      for (const [error] of (results ?? []) as [Error | null, unknown][]) if (error !== null) throw error;
    }
  }

  #writeRecord(write: ReturnType<Redis['multi']>): void {
    const { priority, requestedBy, reason } = this.#details;
    const retire = this.#retire;
    const record = {
      state: 'planned',
      priority,
      ...(this.#action !== DEFAULT_ACTION && { action: this.#action }),
      ...(retire !== undefined && {
        phase: 'inactivating',
        soakMs: retire.soakMs,
        deviceDestroyed: retire.deviceDestroyed ? 1 : 0,
      }),
      ...(requestedBy !== undefined && { requestedBy }),
      ...(reason !== undefined && { reason }),
    };
    write.hset(this.#keys.of(this.batch).record, record).zadd(this.#keys.batches, Date.now(), this.batch);
  }
}

/**
 * Sorts by age, holds no ":" (BullMQ), and no two submitters get the same: 128 random bits, in the 26 characters that fit on a line.
 * Nothing else stands between two batches: a batch with another's id would write into its keys.
 */
function batchId(nowMs: number): string {
  const [date = '', time = ''] = new Date(nowMs).toISOString().split('T');
  const random = BigInt(`0x${randomBytes(16).toString('hex')}`)
    .toString(32)
    .padStart(26, '0');
  return `${date.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}-${random}`;
}
