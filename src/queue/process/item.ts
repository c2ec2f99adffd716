import type { CallAction } from '../../core/action.ts';
import type { Motive } from '../../audit/note.ts';
import type { Certificate } from '../../core/certificate.ts';
import type { Outcome } from '../../core/batch.ts';
import type { Attempt } from '../../core/decide.ts';
import type { Run } from '../../ledger/call-notes.ts';

/** An accepted item in the hands of this process; of a direct one, who wanted it and why. */
export interface Item extends Motive {
  readonly batch: string;
  readonly n: number;
  /** What to do with the certificate. */
  readonly action: CallAction;
  /** Its batch retires it: with `delete` it was marked inactive, and is looked at before. */
  readonly isRetiring?: boolean;
  readonly certificate: Certificate;
  readonly isUrgent: boolean;
  /** On whose account this process has it. */
  readonly run: Run;
  /** A direct item: what it was adopted under. */
  readonly key?: string;
  /** A direct item whose job nobody was allowed to add: the code that it is to end dead with, without a call. */
  readonly refused?: string;
}

/**
 * What is to become of an item, as data; one place writes it, and one other turns it into BullMQ's calls.
 * `settled`: it has its outcome. `wait`: it leaves its job and waits in the ledger. `release`: it stays with its job, which goes back to the queue.
 * `abandon`: another run has it, or it is settled, or its batch is gone.
 */
export type Disposition =
  | {
      readonly kind: 'settled';
      readonly outcome: Outcome;
      /** The API's code, or one of ours in lower case; empty when there was no call. */
      readonly code: string;
      readonly message: string;
      readonly requestId: string;
      readonly attempt: Attempt;
      /** No call of this run lies behind it. */
      readonly isUncalled: boolean;
      readonly byAbsence: boolean;
    }
  | { readonly kind: 'wait'; readonly delayMs: number; readonly attempt?: Attempt }
  | { readonly kind: 'release'; readonly attempt?: Attempt }
  | { readonly kind: 'abandon' };
