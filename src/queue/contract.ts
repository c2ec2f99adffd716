import { parseCertificate, describeFault, type Certificate } from '../core/certificate.ts';
import type { Priority } from '../ledger/batch-record.ts';
import type { Death } from '../ledger/dead-letters.ts';

/** The job contract's version. */
export const CONTRACT_VERSION = 1;

/** Begins every key in Redis, BullMQ's too. The braces make it a hash tag: all keys live on one node of a Cluster. */
export const KEY_PREFIX = '{certsweep}';

/** BullMQ's queue of an account. */
export function queueName(account: string): string {
  return `revoke-${account}`;
}

/** BullMQ priorities: lower runs first, and a job without one runs before all that have one. */
export const JOB_PRIORITY: Readonly<Record<Priority, number>> = { urgent: 1, bulk: 10 };

/** What every job is called. */
export const JOB_NAME = 'revoke';

/**
 * The data of a job, version 1. Producers in other languages add it themselves, with the first four fields;
 * `batch` and `n` are for jobs that stand for an item of a submitted batch, `trail` and `history` are ours.
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
  /** What an item of a standing batch was adopted under, where that is not the job's id. */
  readonly key?: string;
  readonly trail?: Trail;
  readonly history?: readonly Death[];
}

/** What the job has been through, written before it waits again, so that it survives the process. */
export interface Trail {
  readonly failures: number;
  readonly calls: number;
  readonly effectUnknown: boolean;
  readonly refreshed: boolean;
  /** Starts whose end we know. One more than that on the next start; anything else means that a start ended in a crash. */
  readonly starts: number;
}

export const NO_TRAIL: Trail = { failures: 0, calls: 0, effectUnknown: false, refreshed: false, starts: 0 };

export type ParsedJob = { readonly ok: true; readonly job: Job } | { readonly ok: false; readonly message: string };

/** A job's data, checked. */
export interface Job {
  readonly certificate: Certificate;
  /** The item it stands for; absent when it belongs to no batch. */
  readonly item?: { readonly batch: string; readonly n: number };
  readonly key?: string;
  readonly trail: Trail;
  readonly history: readonly Death[];
}

/** Checks what a producer wrote; never throws, whatever it is. */
export function parseJob(data: unknown): ParsedJob {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return bad('the data is no object');
  const job = data as Readonly<Record<string, unknown>>;
  if (job['v'] !== CONTRACT_VERSION) return bad(`v is ${show(job['v'])}, this worker knows ${CONTRACT_VERSION}`);
  const { instanceId, caSn, deviceSn } = job as Readonly<Record<keyof Certificate, unknown>>;
  const parsed = parseCertificate({ instanceId, caSn, deviceSn });
  if (!parsed.ok) return bad(describeFault(parsed.fault));
  const { batch, n } = job;
  const isItem = typeof batch === 'string' && batch !== '' && Number.isSafeInteger(n) && (n as number) >= 0;
  if (!isItem && n !== undefined) return bad(`n is ${show(n)}, it goes with a batch and counts from 0`);
  if (batch !== undefined && typeof batch !== 'string') return bad(`batch is ${show(batch)}, it must be text`);
  return {
    ok: true,
    job: {
      certificate: parsed.certificate,
      ...(isItem && { item: { batch, n: n as number } }),
      ...(typeof job['key'] === 'string' && { key: job['key'] }),
      trail: { ...NO_TRAIL, ...(job['trail'] as Partial<Trail> | undefined) },
      history: (job['history'] as readonly Death[] | undefined) ?? [],
    },
  };
}

/** Of an item: the same each time it is fed, another one each time its dead letter is retried. */
export function jobIdOf(batch: string, n: number, retries: number): string {
  return retries === 0 ? `${batch}.${n}` : `${batch}.${n}.${retries}`;
}

function bad(message: string): ParsedJob {
  return { ok: false, message };
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'absent').slice(0, 80);
}
