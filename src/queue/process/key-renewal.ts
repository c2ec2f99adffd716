import type { Answer } from '../../core/answer.ts';
import { blameOf } from '../../core/code-table.ts';
import { provesAccess, type KeyTrust } from '../../core/decide.ts';

/** Credentials that have worked are not fetched again so soon: the service that gives them out has limits, too. */
export const PROVEN_MS = 10_000;
/** A trial that ended without a report is no trial any more. */
export const TRIAL_MS = 60_000;
/** One refusal is not enough: where the API has just heard of new credentials, not every host of it may know them. */
export const TRIAL_REFUSALS = 3;

/**
 * Whether it helps to fetch an account's credentials again when the API refuses their token: tried for all the items in hand together. Where calls
 * that began after that are refused the same way, and none works, it does not. Times are of `performance.now()`.
 */
export class KeyRenewal {
  readonly #fetchAnew: () => void;
  /** When credentials were last asked for again. */
  #askedMs = Number.NEGATIVE_INFINITY;
  #haveWorked = false;
  /** Of calls that began after that, while none has worked. */
  #refusals = 0;

  /** @param fetchAnew - calls that begin after it are signed with credentials fetched after it */
  constructor(fetchAnew: () => void) {
    this.#fetchAnew = fetchAnew;
  }

  /** Takes note of how a call ended. @returns what is then known of its credentials, where it was their token that was refused */
  hear(answer: Answer, sentMs: number, nowMs: number): KeyTrust {
    // Calls under way with a refused token all come back with the same answer, and say nothing of the next.
    if (sentMs < this.#askedMs) return 'untried';
    if (provesAccess(answer)) this.#haveWorked = true;
    if (answer.kind !== 'refused' || blameOf(answer.code) !== 'token') return 'untried';
    const ageMs = nowMs - this.#askedMs;
    if (this.#haveWorked && ageMs < PROVEN_MS) return 'proven';
    const isTrial = !this.#haveWorked && ageMs < TRIAL_MS;
    this.#refusals = isTrial ? this.#refusals + 1 : 0;
    if (isTrial && this.#refusals < TRIAL_REFUSALS) return 'untried';
    // Also after a trial that has failed, for the probe: it is one call, and the count continues.
    this.#askedMs = nowMs;
    this.#haveWorked = false;
    this.#fetchAnew();
    return isTrial ? 'failed' : 'untried';
  }
}
