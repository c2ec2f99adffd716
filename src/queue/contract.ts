import { createHash } from 'node:crypto';
import type { Motive } from '../audit/note.ts';
import { parseCertificate, describeFault, type Certificate } from '../core/certificate.ts';
import { wellFormed } from '../core/printable.ts';
import type { Priority } from '../ledger/batch-record.ts';
import { chunkOf } from '../ledger/chunk.ts';
import { isDirectBatch } from '../ledger/direct-items.ts';
import { KEY_TAG } from '../runtime/redis/cluster.ts';

/** The job contract's version. */
export const CONTRACT_VERSION = 1;

/** Begins every key in Redis, BullMQ's too. The braces make it a hash tag: all keys live on one node of a Cluster. */
export const KEY_PREFIX = KEY_TAG;

/** BullMQ's queue of an account. */
export function queueName(account: string): string {
  return `revoke-${account}`;
}

/** BullMQ's queue of an account's blocks. Urgent ones have a queue of their own, so that they need not wait until a bulk block has ended. */
export function blockQueueName(account: string, priority: Priority): string {
  return priority === 'urgent' ? `urgent-${account}` : `blocks-${account}`;
}

/** BullMQ priorities: lower runs first, and a job without one runs before all that have one. */
export const JOB_PRIORITY: Readonly<Record<Priority, number>> = { urgent: 1, bulk: 10 };

/** What every job is called. */
export const JOB_NAME = 'revoke';

/**
 * The data of a job, version 1. Producers in other languages add it themselves, with the first four fields;
 * `batch` and `n` are for jobs of an item of a submitted batch, `trail` is ours.
 */
export interface JobData {
  readonly v: 1;
  readonly instanceId: string;
  readonly caSn: string;
  readonly deviceSn: string;
  readonly batch?: string;
  readonly n?: number;
  readonly requestedBy?: string;
  readonly reason?: string;
  /** Unix seconds after which `sig` no longer holds. */
  readonly expires?: number;
  /** Lower-case hex HMAC-SHA256 over the job, see docs/job-contract.md. */
  readonly sig?: string;
  /** What an item of a direct batch was adopted under. */
  readonly key?: string;
  readonly trail?: Trail;
}

/** What the job has been through, written before it waits again, so that it survives the process. The ledger says whether it is true. */
export interface Trail {
  readonly failures: number;
  readonly calls: number;
  readonly effectUnknown: boolean;
  /** The run that noted the last call it reports; empty where it reports none. */
  readonly run: string;
}

export const NO_TRAIL: Trail = { failures: 0, calls: 0, effectUnknown: false, run: '' };

/** The most that a job's data may be, as JSON: far more than any of its fields need. */
const MAX_DATA_LENGTH = 16_384;

export type ParsedJob = { readonly ok: true; readonly job: Job } | { readonly ok: false; readonly message: string };

/** A job's data, checked. */
export interface Job {
  readonly certificate: Certificate;
  /** The item it is for; absent when it belongs to no batch. */
  readonly item?: { readonly batch: string; readonly n: number };
  readonly key?: string;
  readonly motive: Motive;
  readonly trail: Trail;
  /** Written by a version with layout 1: the starts whose end it reports. */
  readonly starts?: number;
  /** Written by a version with layout 1: the deaths of a retried item. */
  readonly history?: readonly object[];
}

/** Checks what a producer wrote; never throws, whatever it is. */
export function parseJob(data: unknown): ParsedJob {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return bad('the data is not an object');
  const { length } = JSON.stringify(data);
  if (length > MAX_DATA_LENGTH) return bad(`the data is ${length} characters of JSON, at most ${MAX_DATA_LENGTH}`);
  const job = data as Readonly<Record<string, unknown>>;
  if (job['v'] !== CONTRACT_VERSION) return bad(`v is ${show(job['v'])}, this worker knows ${CONTRACT_VERSION}`);
  const { instanceId, caSn, deviceSn } = job as Readonly<Record<keyof Certificate, unknown>>;
  const parsed = parseCertificate({ instanceId, caSn, deviceSn });
  if (!parsed.ok) return bad(describeFault(parsed.fault));
  const { batch, n } = job;
  const isNumbered = typeof batch === 'string' && batch !== '' && isOrdinal(n);
  // Ours hold no ":"; one that does would name a key of Redis that is no batch.
  const isItem = isNumbered && !batch.includes(':');
  if (!isNumbered && n !== undefined) return bad(`n is ${show(n)}, it goes with a batch and counts from 0`);
  if (batch !== undefined && typeof batch !== 'string') return bad(`batch is ${show(batch)}, it must be text`);
  const { trail } = job;
  if (trail !== undefined && !isTrail(trail)) return bad(`trail is ${show(trail)}, leave it out: workers write it`);
  const { starts, ...told } = trail ?? {};
  const { history } = job;
  return {
    ok: true,
    job: {
      certificate: parsed.certificate,
      ...(isItem && { item: { batch, n } }),
      ...(typeof job['key'] === 'string' && { key: wellFormed(job['key']) }),
      motive: motiveOf(job),
      trail: { ...NO_TRAIL, ...told },
      ...(starts !== undefined && { starts }),
      ...(isHistory(history) && { history }),
    },
  };
}

/** Who wanted it, and why, where its producer says so in text. */
export function motiveOf(data: unknown): Motive {
  const { requestedBy, reason } = (data ?? {}) as Readonly<Record<string, unknown>>;
  return { ...(typeof requestedBy === 'string' && { requestedBy }), ...(typeof reason === 'string' && { reason }) };
}

/**
 * What the data of a job becomes that no call may be made for, before its dead letter is written: a run that dies behind that would else have the
 * next one make a second letter.
 */
export interface RefusedJob {
  /** Its place in the direct batch, and what it was adopted under. */
  readonly n: number;
  readonly key: string;
  readonly code: string;
  readonly message: string;
  /** What its producer sent. */
  readonly data: unknown;
}

/** @returns undefined for the data of any other job */
export function parseRefused(data: unknown): RefusedJob | undefined {
  if (typeof data !== 'object' || data === null || !('refused' in data)) return undefined;
  const { refused } = data;
  if (typeof refused !== 'object' || refused === null) return undefined;
  const { n, key, code, message, data: sent } = refused as Readonly<Record<keyof RefusedJob, unknown>>;
  if (!isOrdinal(n) || typeof key !== 'string' || typeof code !== 'string' || typeof message !== 'string')
    return undefined;
  return { n, key, code, message, data: sent };
}

/** What a bit of Redis can have as its offset: it refuses others, and a job with one would be tried for ever. */
function isOrdinal(n: unknown): n is number {
  return Number.isSafeInteger(n) && (n as number) >= 0 && (n as number) < 2 ** 32;
}

/** Of an item: the same each time it is fed, another one each time its dead letter is retried. */
export function jobIdOf(batch: string, n: number, retries: number): string {
  return retries === 0 ? `${batch}.${n}` : `${batch}.${n}.${retries}`;
}

/** The `retries` of an id that `jobIdOf` made for the item; undefined for one that somebody else has given. */
export function retriesOfJob(jobId: string, batch: string, n: number): number | undefined {
  const retries = Number(jobId.slice(jobIdOf(batch, n, 0).length + 1));
  return Number.isSafeInteger(retries) && jobId === jobIdOf(batch, n, retries) ? retries : undefined;
}

/** Counts and flags as we write them; a later version may know more of them. */
function isTrail(value: unknown): value is Partial<Trail> & { readonly starts?: number } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries({ ...NO_TRAIL, starts: 0 }).every(([name, none]) => {
    const found = (value as Readonly<Record<string, unknown>>)[name];
    if (found === undefined) return true;
    return typeof none === 'number'
      ? Number.isSafeInteger(found) && (found as number) >= 0
      : typeof found === typeof none;
  });
}

function isHistory(value: unknown): value is readonly object[] {
  const isDeath = (death: unknown): boolean => typeof death === 'object' && death !== null && 'code' in death;
  return Array.isArray(value) && value.length > 0 && value.every(isDeath);
}

function bad(message: string): ParsedJob {
  return { ok: false, message };
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'absent').slice(0, 80);
}

/** The version of the contract of blocks; producers add none. */
export const BLOCK_VERSION = 2;

/** A run of a lane's ordinals, `from` included and `to` not, within one chunk. */
export interface Block {
  readonly batch: string;
  readonly instanceId: string;
  readonly from: number;
  readonly to: number;
}

export interface BlockData extends Block {
  readonly v: 2;
}

/** The same for the same block, so that a feeder which died before it noted a block adds the same one again. */
export function blockId({ batch, instanceId, from, to }: Block): string {
  return `${batch}.${from}-${to}.${laneTag(instanceId)}`;
}

/** The ordinals of a block's id, where it is one of the lane's. */
export function blockRange(id: string, batch: string, instanceId: string): { from: number; to: number } | undefined {
  if (!id.startsWith(`${batch}.`) || !id.endsWith(`.${laneTag(instanceId)}`)) return undefined;
  const [from = '', to = ''] =
    id
      .slice(batch.length + 1)
      .split('.')[0]
      ?.split('-') ?? [];
  return { from: Number(from), to: Number(to) };
}

/** @returns undefined for what is no block */
export function parseBlock(data: unknown): Block | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { v, batch, instanceId, from, to } = data as Readonly<Record<string, unknown>>;
  if (v !== BLOCK_VERSION || typeof batch !== 'string' || typeof instanceId !== 'string') return undefined;
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || batch.includes(':')) return undefined;
  const block = { batch, instanceId, from: from as number, to: to as number };
  // The items of a direct batch have jobs of their own. Beyond its chunk, an ordinal would name another item's certificate.
  if (isDirectBatch(batch) || block.from < 0 || block.to <= block.from) return undefined;
  return chunkOf(block.from) === chunkOf(block.to - 1) ? block : undefined;
}

function laneTag(instanceId: string): string {
  return createHash('sha1').update(instanceId).digest('hex').slice(0, 12);
}
