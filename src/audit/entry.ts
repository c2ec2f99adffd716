import type { Action } from '../core/action.ts';
import type { RetireDetails } from '../core/retirement.ts';

/** What is on record. A change of state is on record with its batch; halts and paces belong to an account and have no batch, nor have the kill switch and what is done to a CA or a schedule. */
export const AUDIT_EVENTS = [
  'submit',
  // A large batch waits, and somebody else lets it run.
  'approval-asked',
  'approve',
  'pause',
  'resume',
  'cancel',
  'forget',
  // Changes nothing, but an auditor asks whether it was made.
  'verify',
  'dead-retry',
  'dead-discard',
  'halt',
  'lift',
  'breaker-pause',
  'limit-pause',
  'window-pause',
  'window-resume',
  'schedule-pause',
  'schedule-resume',
  'pace',
  // The kill switch, over all accounts.
  'stop',
  'start',
  'priority',
  // Each stands before the call is made.
  'ca-inactivate',
  'ca-activate',
  'ca-delete',
  // The call of the entry before it was refused, or nobody knows its outcome.
  'ca-failed',
  // Over HTTP: a token that nobody has, or one that may not do what it asked for.
  'access-refused',
] as const;
export type AuditEvent = (typeof AUDIT_EVENTS)[number];

/** One entry of the record, as `certsweep audit --json` prints it; other programs depend on its names. */
export interface AuditEntry {
  /** From 1, without gaps. */
  readonly seq: number;
  /** Unix milliseconds by Redis' clock. */
  readonly at: number;
  readonly event: AuditEvent;
  readonly batch: string | null;
  /** Of a submission, what its batch does; absent in those of versions that only deleted. */
  readonly action?: Action;
  /** Of a submission that retires. */
  readonly retire?: RetireDetails;
  /** Of what is done to a CA. */
  readonly ca?: { readonly instanceId: string; readonly caSn: string };
  /** What is paused or resumed by itself. */
  readonly schedule?: string;
  /** The account of the operating system, the host and the process that made the change. */
  readonly user: string;
  readonly host: string;
  readonly pid: number;
  /** Who wanted it, and why, as they said it themselves. */
  readonly requestedBy: string | null;
  readonly reason: string | null;
  /** The batch's counts after the change; for `pace` calls a second, for `verify` what it found, for `ca-delete` certificates; else null. */
  readonly counts: Readonly<Record<string, number>> | null;
  /** Of a manifest that was read from a file or standard input: what `sha256sum` prints. */
  readonly manifestSha256: string | null;
  /** The hash of the entry before; 40 zeros in the first. */
  readonly previous: string;
  /** SHA-1, lower-case hex, of the entry's JSON without this field. */
  readonly hash: string;
}

/** What the first entry says of the one before it. */
export const NO_PREVIOUS = '0'.repeat(40);

/** The keys of the record. */
export interface AuditKeys {
  /** Stream: the entries, oldest first. */
  readonly stream: string;
  /** Hash: number and hash of the last entry. */
  readonly head: string;
  /** Hash: an account to its pace as it was last recorded. */
  readonly paces: string;
  /** String: the id of the last entry that a worker has logged. */
  readonly logged: string;
}

/** @param prefix - with a hash tag, like `{certsweep}` */
export function auditKeys(prefix: string): AuditKeys {
  return {
    stream: `${prefix}:audit`,
    head: `${prefix}:audit:head`,
    paces: `${prefix}:audit:paces`,
    logged: `${prefix}:audit:logged`,
  };
}
