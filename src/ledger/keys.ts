import type { Redis } from 'ioredis';
import { auditKeys, type AuditKeys } from '../audit/entry.ts';
import { layoutKey } from './layout.ts';

/** What every part of the ledger works on. */
export interface LedgerStore {
  readonly redis: Redis;
  readonly keys: LedgerKeys;
}

/** The Redis keys of one batch, and those that all batches share. All have one hash tag, so that a script may touch any of them. */
export interface LedgerKeys {
  /** Sorted set: every batch, by the time of its submission. */
  readonly batches: string;
  /** Sorted set: batches with items not settled, urgent ones first, then by age. */
  readonly active: string;
  /** Hash: a manifest's fingerprint to the batch that is working on it. */
  readonly fingerprints: string;
  /** Counter: goes up when halts or batch states change, so that every process reads them again. */
  readonly signals: string;
  /** String: the layout, the version of this table. */
  readonly layout: string;
  /** The record of who changed what. */
  readonly audit: AuditKeys;
  /** Hash: a forgotten batch to what is left of it. */
  readonly forgotten: string;
  /** String: the batch that a plan file was used for, kept until the file is stale anyway. */
  usedPlan(id: string): string;
  /** Hash: an idempotency key of the HTTP API: who works on it, and then its outcome. */
  claim(id: string): string;
  /** The keys of one schedule. */
  schedule(name: string): ScheduleKeys;
  /** Sorted set: items of an instance that wait, as `<batch> <ordinal>`, by when they may continue. */
  waiting(instanceId: string): string;
  /** The keys of one batch. */
  of(batch: string): BatchKeys;
}

export interface ScheduleKeys {
  /** Hash: how far it has come, its last batch, and whether it is paused. */
  readonly state: string;
  /** String: the process that is at it now. */
  readonly claim: string;
  /** Hash: an occurrence to how it ended. */
  readonly ends: string;
  /** List: the occurrences that have ended, the last one first. */
  readonly order: string;
}

export interface BatchKeys {
  /** Hash: what is known of the batch, and its counts. */
  readonly record: string;
  /** Hash: chunk number to the packed certificates of about a thousand items. */
  readonly chunks: string;
  /** Hash: instance to the chunks that hold items of it. */
  readonly lanes: string;
  /** Hash: instance to the ordinal at which feeding continues. */
  readonly cursors: string;
  /** Bitmap: one bit for each settled item. */
  readonly settled: string;
  /** Bitmap, of a batch that retires: one bit for each item that was marked inactive, and may be deleted later. Until then `settled` has it too. */
  readonly marked: string;
  /** Bitmap: those of them that were inactive before. */
  readonly markedBefore: string;
  /** Hash: ordinal of an item that is not settled to its attempt record. */
  readonly attempts: string;
  /** Stream: the outcomes, in the order they came. */
  readonly ledger: string;
  /** Hash: ordinal to the dead letter. */
  readonly dead: string;
  /** Hash: ordinal to the deaths of an item whose dead letter was retried. */
  readonly history: string;
  /** Set: ledger entries that no longer count, since their item was reopened. */
  readonly superseded: string;
  /** Hash, direct batches only: job id to the ordinal it was adopted as. */
  readonly adopted: string;
  /** String: which process feeds the batch now, while it is in its ramp and shared by accounts. */
  readonly turn: string;
  /** Hash, layout 2: ordinal to the run that last noted a call. */
  readonly notes: string;
  /** Bitmap, layout 1: whether a call was noted. */
  readonly departed: string;
  /** Hash, up to layout 2: ordinal to the dead letter of a retried item that has no job yet. */
  readonly reopened: string;
  /** Hash, up to layout 2: ordinal to how often its dead letter was retried. */
  readonly retries: string;
}

/** @param prefix - with a hash tag, like `{certsweep}` */
export function ledgerKeys(prefix: string): LedgerKeys {
  return {
    batches: `${prefix}:batches`,
    active: `${prefix}:active`,
    fingerprints: `${prefix}:fingerprints`,
    signals: `${prefix}:signals`,
    layout: layoutKey(prefix),
    audit: auditKeys(prefix),
    forgotten: `${prefix}:forgotten`,
    usedPlan: (id) => `${prefix}:plan:${id}`,
    claim: (id) => `${prefix}:idempotency:${id}`,
    schedule: (name) => ({
      state: `${prefix}:schedule:${name}`,
      claim: `${prefix}:schedule:${name}:claim`,
      ends: `${prefix}:schedule:${name}:ends`,
      order: `${prefix}:schedule:${name}:order`,
    }),
    waiting: (instanceId) => `${prefix}:waiting:${encodeURIComponent(instanceId)}`,
    of: (batch) => ({
      record: `${prefix}:batch:${batch}`,
      chunks: `${prefix}:batch:${batch}:chunks`,
      lanes: `${prefix}:batch:${batch}:lanes`,
      cursors: `${prefix}:batch:${batch}:cursors`,
      settled: `${prefix}:batch:${batch}:settled`,
      marked: `${prefix}:batch:${batch}:marked`,
      markedBefore: `${prefix}:batch:${batch}:marked-before`,
      attempts: `${prefix}:batch:${batch}:attempts`,
      ledger: `${prefix}:batch:${batch}:ledger`,
      dead: `${prefix}:batch:${batch}:dead`,
      history: `${prefix}:batch:${batch}:history`,
      superseded: `${prefix}:batch:${batch}:superseded`,
      adopted: `${prefix}:batch:${batch}:adopted`,
      turn: `${prefix}:batch:${batch}:turn`,
      notes: `${prefix}:batch:${batch}:notes`,
      departed: `${prefix}:batch:${batch}:departed`,
      reopened: `${prefix}:batch:${batch}:reopened`,
      retries: `${prefix}:batch:${batch}:retries`,
    }),
  };
}
