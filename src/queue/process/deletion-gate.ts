import { blameOf } from '../../core/code-table.ts';
import type { Answer } from '../../core/answer.ts';
import type { Attempt, DecidePolicy, Verdict } from '../../core/decide.ts';
import type { ReadAnswer, RegisteredCa } from '../../core/registered.ts';
import { CA_ACTIVE, decideUnreadCa, hasExpired } from '../../core/retirement.ts';
import type { CallToNote, CallVerdict } from '../../ledger/call-notes.ts';
import type { Limiter } from '../../limiter/contract.ts';
import type { BatchStateCache } from '../batch-state-cache.ts';
import type { Item } from './item.ts';

/** The read of a CA. */
export interface CaClient {
  getCaCertificate(
    instanceId: string,
    caSn: string,
    notAfterMs: number,
  ): Promise<ReadAnswer<Pick<RegisteredCa, 'status'>>>;
}

export interface DeletionGateParts {
  readonly pacer: Pick<Limiter<CallToNote, CallVerdict>, 'take'>;
  readonly client: CaClient;
  readonly states: Pick<BatchStateCache, 'of'>;
  readonly policy: DecidePolicy;
}

type CaRead =
  | { readonly kind: 'active' | 'inactive' | 'absent' | 'no-slot' }
  | { readonly kind: 'unread'; readonly answer: Exclude<Answer, { kind: 'accepted' }> };

/** What a certificate was seen as that is inactive. */
export interface CertificateRead {
  readonly validEndMs: number | undefined;
  readonly requestId: string;
}

/** What is to become of an inactive certificate. */
export type Passed =
  /** It may be deleted. */
  | { readonly kind: 'open' }
  /** It stays inactive: it could register again, or its batch was cancelled. */
  | {
      readonly kind: 'inactive';
      readonly end: { readonly code: string; readonly requestId: string; readonly attempt: Attempt };
    }
  /** Nobody could ask about its CA, or it has no part in why the answer was none. */
  | { readonly kind: 'later' }
  | { readonly kind: 'failed'; readonly attempt: Attempt }
  | {
      readonly kind: 'dead';
      readonly verdict: Extract<Verdict, { kind: 'dead' }>;
      readonly answer: Exclude<Answer, { kind: 'accepted' }>;
    };

/** How long what is known of a CA is used, milliseconds: a call for each certificate would halve the pace. */
const FRESH_MS = 5_000;
/** CAs remembered before all are forgotten. */
const MANY = 1_000;

/** Judges whether an inactive certificate may be deleted: not where its device could then register again. */
export class DeletionGate {
  readonly #parts: DeletionGateParts;
  readonly #seen = new Map<string, { readonly atMs: number; readonly read: Promise<CaRead> }>();

  constructor(parts: DeletionGateParts) {
    this.#parts = parts;
  }

  async pass(item: Item, attempt: Attempt, { validEndMs, requestId }: CertificateRead): Promise<Passed> {
    const { states, policy } = this.#parts;
    const batch = await states.of(item.batch);
    if (batch === undefined || batch.state === 'cancelled')
      return { kind: 'inactive', end: { code: 'OK', requestId, attempt } };
    if (batch.retirement?.deviceDestroyed === true || hasExpired(validEndMs, Date.now())) return { kind: 'open' };
    const ca = await this.#ca(item);
    switch (ca.kind) {
      case 'active':
        return { kind: 'inactive', end: { code: CA_ACTIVE, requestId, attempt } };
      case 'inactive':
      case 'absent':
        return { kind: 'open' };
      case 'no-slot':
        return { kind: 'later' };
      case 'unread': {
        const verdict = decideUnreadCa(ca.answer, attempt, policy);
        if (verdict.kind === 'again') return { kind: 'later' };
        if (verdict.kind === 'dead') return { kind: 'dead', verdict, answer: ca.answer };
        return { kind: 'failed', attempt: { ...attempt, failures: attempt.failures + 1 } };
      }
    }
  }

  /** One read answers all who ask while it is fresh. One that told nothing is made again. */
  async #ca(item: Item): Promise<CaRead> {
    const { instanceId, caSn } = item.certificate;
    const key = JSON.stringify([instanceId, caSn]);
    const known = this.#seen.get(key);
    if (known !== undefined && performance.now() - known.atMs < FRESH_MS) return known.read;
    if (this.#seen.size >= MANY) this.#seen.clear();
    const entry = { atMs: performance.now(), read: this.#read(item) };
    this.#seen.set(key, entry);
    const { kind } = await entry.read;
    if ((kind === 'no-slot' || kind === 'unread') && this.#seen.get(key) === entry) this.#seen.delete(key);
    return entry.read;
  }

  async #read({ certificate: { instanceId, caSn }, isUrgent }: Item): Promise<CaRead> {
    const { pacer, client } = this.#parts;
    const grant = await pacer.take({ instanceId, isUrgent });
    if (grant.kind !== 'slot') return { kind: 'no-slot' };
    const answer = await client.getCaCertificate(instanceId, caSn, grant.notAfterMs);
    const isThrottled = answer.kind === 'refused' && blameOf(answer.code) === 'rate';
    // It is no probe, since it needs another permission.
    await grant.report(isThrottled ? { kind: 'throttled', retryAfterMs: answer.retryAfterMs ?? 0 } : { kind: 'void' });
    if (answer.kind === 'accepted') return { kind: answer.data.status };
    if (answer.kind === 'refused' && answer.code === 'FindCaBySnError') return { kind: 'absent' };
    return { kind: 'unread', answer };
  }
}
