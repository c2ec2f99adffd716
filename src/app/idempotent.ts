import { createHash } from 'node:crypto';
import { claimKey, type Claim, type Claimed } from '../ledger/claims.ts';
import type { Identity } from './identity.ts';
import type { Store } from './store.ts';
import { takenIn, type Submitted, type SubmitOutcome, type TakenIn } from './submit.ts';

export type { Claimed } from '../ledger/claims.ts';

/** Claims an idempotency key for a token: of two tries with one key, over all processes, one makes a batch. */
export async function claimIdempotencyKey(store: Store, who: Identity, key: string): Promise<Claimed> {
  return claimKey(store.ledger, who.sha256 ?? who.name, key);
}

/** Names what was sent: the manifest's bytes, and what was said of them. */
export function contentOf(manifestSha256: string, options: object): string {
  return createHash('sha256')
    .update(`${manifestSha256}\0${JSON.stringify(options)}`)
    .digest('base64url');
}

/** How it ended the first time; undefined where something else was sent. */
export function answerAgain(
  { batch, became, content, answer }: Extract<Claimed, { readonly kind: 'bound' }>,
  sent: string,
): TakenIn | undefined {
  return content === sent ? takenIn(became, batch, JSON.parse(answer) as Omit<Submitted, 'batch'>) : undefined;
}

/** Gives a claim back, unless what was sent with it may still arrive. */
export async function endClaim(claim: Claim, outcome: SubmitOutcome | undefined): Promise<void> {
  if (outcome?.kind === 'unknown') claim.leave();
  else await claim.release();
}
