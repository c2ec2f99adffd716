import { script } from '../runtime/redis/script.ts';
import type { Awaiting, Submitter } from './awaiting.ts';
import { ACTIVATE } from './batch-scripts.lua.ts';
import type { Claim } from './claims.ts';
import type { LedgerKeys } from './keys.ts';
import { occurrenceArgument, type OccurrenceClaim } from './occurrence-claim.ts';

export const activateScript = script<string>(ACTIVATE);

/** What is known of a manifest only once it is read. Only the batch of a plan file may be that of an occurrence. */
export interface LateDetails {
  /** In place of the one that the plan was made with. */
  readonly reason?: string;
  /** Over its bytes. */
  readonly manifestSha256?: string;
  /** Of the plan file that it comes from, which is good once. */
  readonly planId?: string;
  /** It must not run yet: who submitted it, null where no token was used, while somebody else has to approve it. */
  readonly awaiting?: { readonly by: Submitter | null };
  /** Bound to the batch in the same step. */
  readonly claim?: BoundClaim;
  /** Of a schedule, which it ends. */
  readonly occurrence?: OccurrenceClaim;
}

/** What a claim is bound with. */
export interface BoundClaim extends Pick<Claim, 'id' | 'holder'> {
  /** What was sent. */
  readonly content: string;
  /** What the answer has beside the batch. */
  readonly answer: string;
}

export type Activated =
  /** It runs. */
  | { readonly kind: 'running'; readonly batch: string }
  /** It waits for its approval. */
  | { readonly kind: 'awaits-approval'; readonly batch: string }
  /** The claim ran out meanwhile, and may be another's: nothing runs. */
  | { readonly kind: 'claim-lost' }
  /** The same manifest is at work already with the same action, as that batch. */
  | { readonly kind: 'duplicate'; readonly batch: string }
  /** The plan file was used before, for that batch: nothing runs. */
  | { readonly kind: 'used'; readonly batch: string }
  /** The occurrence has ended already, or another process is at it: nothing runs. */
  | { readonly kind: 'overtaken' }
  /** The plan is no longer whole (it waited too long, or Redis lost it): nothing runs. */
  | { readonly kind: 'gone' }
  /** Redis did not answer: it may run already, or begin to when what was sent arrives. */
  | { readonly kind: 'unknown'; readonly batch: string; readonly error: unknown };

/** The keys of `ACTIVATE`, of every batch. */
export function activationKeys(keys: LedgerKeys, batch: string): string[] {
  const { active, fingerprints, batches, signals, audit, layout } = keys;
  const { record, chunks, lanes } = keys.of(batch);
  return [record, active, fingerprints, batches, signals, chunks, lanes, audit.stream, audit.head, layout];
}

/** What `ACTIVATE` counts and compares. */
export interface ActivationCounts {
  readonly batch: string;
  readonly fingerprint: string;
  readonly certificates: number;
  readonly chunks: number;
  readonly rank: number;
}

/** The arguments of `ACTIVATE`, in their order. */
export function activationArguments(
  counts: ActivationCounts,
  note: string,
  late: Given<LateDetails>,
): (string | number)[] {
  const { batch, fingerprint, certificates, chunks, rank } = counts;
  const { reason = '', manifestSha256 = '', planId = '', awaiting, claim, occurrence } = late;
  const waits: Awaiting | undefined = awaiting && { certificates, chunks, fingerprint, by: awaiting.by };
  return [
    batch,
    fingerprint,
    certificates,
    chunks,
    rank,
    note,
    reason,
    manifestSha256,
    planId,
    waits === undefined ? '' : JSON.stringify(waits),
    ...(claim === undefined ? ['', '', ''] : [claim.holder, claim.content, claim.answer]),
    occurrence === undefined
      ? ''
      : occurrenceArgument(occurrence, { batch, accepted: certificates, isAwaiting: awaiting !== undefined }),
  ];
}

/** Where what is not there may be undefined. */
type Given<T> = { readonly [K in keyof T]: T[K] | undefined };
