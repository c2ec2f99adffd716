import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { recordDeed } from '../audit/deed.ts';
import type { Role, TokenLimits } from '../core/role.ts';
import type { TokenConfig } from '../runtime/config/config.ts';
import type { Store } from './store.ts';

/** Who asks. */
export interface Identity extends TokenLimits {
  readonly name: string;
  readonly role: Role;
  /** Of its token; absent where nobody was asked for one. */
  readonly sha256?: string;
}

/** Where no token is configured: anyone on this host may look, and do nothing. */
export const ANYBODY: Identity = { name: 'anybody', role: 'viewer' };

const BYTES = 32;
/** What `makeToken` makes. Nothing else is compared, so no word that a person thought of can be a token. */
const FORM = /^cst_[A-Za-z0-9_-]{43}$/;

/** A token of 256 random bits, and what the configuration knows of it. */
export function makeToken(): { readonly token: string; readonly sha256: string } {
  const token = `cst_${randomBytes(BYTES).toString('base64url')}`;
  return { token, sha256: sha256Of(token) };
}

/** Whose token it is; undefined where it is nobody's. Takes as long for each that is compared. */
export function identify(tokens: readonly TokenConfig[], token: string): Identity | undefined {
  return FORM.test(token) ? ownerOf(tokens, sha256Of(token)) : undefined;
}

/** Whose token has the hash; undefined where it is nobody's, as of one that was removed. */
export function ownerOf(tokens: readonly TokenConfig[], sha256: string): Identity | undefined {
  const asked = Buffer.from(sha256);
  let found: Identity | undefined;
  for (const token of tokens) {
    const known = Buffer.from(token.sha256);
    if (known.length === asked.length && timingSafeEqual(known, asked)) found = token;
  }
  return found;
}

/** Puts on record that somebody was turned away. @param who - the token's name, where it has one */
export async function recordRefusal({ redis, ledger }: Store, why: string, who?: string): Promise<void> {
  const by = who === undefined ? {} : { requestedBy: who };
  await recordDeed(redis, ledger.keys.audit, { event: 'access-refused', reason: why, ...by });
}

function sha256Of(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
