import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Motive } from '../../audit/note.ts';
import type { Certificate } from '../../core/certificate.ts';
import { DEFAULT_DIRECT, type DirectRules } from '../../core/direct-job.ts';
import type { Priority } from '../../ledger/batch-record.ts';
import { BeingCancelled, directBatchOf, HourlyLimitReached } from '../../ledger/direct-items.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { resultOf } from '../../runtime/redis/command-result.ts';
import { jobIdOf, type JobData } from '../contract.ts';
import type { AccountQueues } from '../queues.ts';
import { signatureOf } from '../signature.ts';

/** `accepted`: it is in the ledger, `isNew` unless it was pending there already. `unknown`: Redis did not answer, it may be there. */
export type DirectSubmitted =
  | { readonly kind: 'accepted'; readonly batch: string; readonly isNew: boolean }
  | { readonly kind: 'unknown'; readonly batch: string; readonly error: unknown };

/** Long enough for a job that waits: only one that the ledger does not know any more is asked for its signature. */
const SIGNED_FOR_S = 3_600;

/**
 * Hands one certificate to the account's direct batch and its queue. A certificate that is pending there already is not taken twice.
 * The ledger comes first: where the job is not added, since the process died or Redis did not answer, the feeder makes it wait, and it continues from there.
 * @param rules - what the account takes in; with the key, the job is signed, so that it holds even where Redis has lost the ledger
 * @throws Redis' error when it was certainly not taken, BeingCancelled, and HourlyLimitReached
 */
export async function submitDirect(
  { redis, ledger }: { readonly redis: Redis; readonly ledger: Pick<Ledger, 'direct'> },
  queues: AccountQueues,
  account: string,
  certificate: Certificate,
  priority: Priority,
  motive: Motive = {},
  { policy: { maxPerHour }, jobKey }: DirectRules = { policy: DEFAULT_DIRECT },
): Promise<DirectSubmitted> {
  const batch = directBatchOf(account);
  const key = keyOf(certificate);
  const rules = { ...motive, maxPerHour };
  const result = await resultOf(redis, () => ledger.direct.adopt(batch, key, certificate, rules).catch(closed));
  if (result.kind === 'unknown') return { kind: 'unknown', batch, error: result.error };
  if (result.kind === 'refused') throw result.error;
  if (result.reply instanceof BeingCancelled || result.reply instanceof HourlyLimitReached) throw result.reply;
  const { n, isNew } = result.reply;
  // From here on it will be revoked, whatever becomes of the job.
  const signed = jobKey === undefined ? {} : signatureFor(jobKey, jobIdOf(batch, n, 0), { ...certificate, ...motive });
  const item = { batch, n, certificate, key, ...motive, ...signed };
  if (isNew) await queues.addDirect(item, priority).catch(() => undefined);
  return { kind: 'accepted', batch, isNew };
}

/** An answer, not a lost one. */
function closed(error: unknown): BeingCancelled | HourlyLimitReached {
  if (error instanceof BeingCancelled || error instanceof HourlyLimitReached) return error;
  throw error;
}

function signatureFor(jobKey: string, jobId: string, claims: Certificate & Motive): Pick<JobData, 'expires' | 'sig'> {
  const expires = Math.floor(Date.now() / 1_000) + SIGNED_FOR_S;
  const sig = signatureOf(jobKey, { ...claims, jobId, expires });
  return sig === undefined ? {} : { expires, sig };
}

/** The same for the same certificate, and no valid one can hold a NUL. */
function keyOf({ instanceId, caSn, deviceSn }: Certificate): string {
  return createHash('sha256').update(`${instanceId}\0${caSn}\0${deviceSn}`).digest('base64url').slice(0, 22);
}
