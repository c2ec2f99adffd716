import type { Answer } from '../core/answer.ts';
import { blameOf } from '../core/code-table.ts';
import { provesAccess, type KeyTrust } from '../core/decide.ts';

/** Credentials that have worked are not fetched anew so soon again: whoever gives them out has limits, too. */
export const PROVEN_MS = 10_000;
/** A trial that ended without a word is no trial any more. */
export const TRIAL_MS = 60_000;

/**
 * Whether it helps to fetch an account's credentials anew when the API refuses their token: tried once in this process, for all the items in
 * hand. A call that began after that and is refused the same way shows that it does not. Times are of `performance.now()`.
 */
export class KeyRenewal {
  readonly #fetchAnew: () => void;
  /** When credentials were last asked for anew. */
  #askedMs = Number.NEGATIVE_INFINITY;
  #haveWorked = false;

  /** @param fetchAnew - calls that begin after it are signed with credentials fetched after it */
  constructor(fetchAnew: () => void) {
    this.#fetchAnew = fetchAnew;
  }

  /** Takes note of how a call ended. @returns what was known of its credentials before */
  hear(answer: Answer, sentMs: number, nowMs: number): KeyTrust {
    const trust = this.#trustAt(sentMs, nowMs);
    // Calls under way with a refused token all come back with the same answer, and say nothing of the next.
    if (sentMs < this.#askedMs) return trust;
    if (provesAccess(answer)) this.#haveWorked = true;
    if (trust === 'proven' || answer.kind !== 'refused' || blameOf(answer.code) !== 'token') return trust;
    this.#askedMs = nowMs;
    this.#haveWorked = false;
    this.#fetchAnew();
    return trust;
  }

  #trustAt(sentMs: number, nowMs: number): KeyTrust {
    const ageMs = nowMs - this.#askedMs;
    if (sentMs < this.#askedMs || ageMs >= (this.#haveWorked ? PROVEN_MS : TRIAL_MS)) return 'outdated';
    return this.#haveWorked ? 'proven' : 'on-trial';
  }
}
