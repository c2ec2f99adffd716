import type { Answer } from '../../src/core/answer.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import type { CallVerdict } from '../../src/ledger/call-notes.ts';
import type { Reported } from '../../src/ledger/items.ts';
import type { Disposition, Item } from '../../src/queue/process/item.ts';

/** How a call ends; `honest` is by the registry alone: deleted, or not found. */
export const ANSWERS = [
  'honest',
  'busy',
  'unreachable',
  'lost-before',
  'lost-after',
  'garbled-after',
  'throttled',
  'refused',
  'nonce',
  'old-token',
  'void',
  'forbidden',
] as const;
export type AnswerKind = (typeof ANSWERS)[number];

/** What a process does with an item, as it happens. */
export type HandEvent =
  | { readonly kind: 'begun'; readonly item: Item }
  /** `isServed`: the call may be made, was given a slot and is noted. */
  | { readonly kind: 'asked'; readonly item: Item; readonly verdict: CallVerdict; readonly isServed: boolean }
  /** Its slot ended unused: the note is taken back. */
  | { readonly kind: 'back'; readonly item: Item }
  /** It gets no slot: its worker leaves, or the account is halted. */
  | { readonly kind: 'sent-away'; readonly item: Item; readonly why: 'closed' | 'halted' }
  | { readonly kind: 'called'; readonly item: Item; readonly answer: AnswerKind; readonly isDeleted: boolean }
  | {
      readonly kind: 'reported';
      readonly item: Item;
      readonly disposition: Disposition;
      readonly reply: Reported | 'closed';
    };

/** So long that an item does not come back by itself. */
export const LONG_MS = 600_000;

/** What all processes share besides Redis: the cloud, and its opinion of the account. */
export class World {
  /** Serial numbers. */
  readonly registered: Set<string>;
  /** Serial numbers called for since the last look. */
  readonly calls: string[] = [];
  readonly defects: string[] = [];
  /** Probes that were given back. */
  probesAgain = 0;
  isHalted = false;
  #hears: (event: HandEvent) => void = () => undefined;
  #requests = 0;

  constructor(registered: Iterable<string>) {
    this.registered = new Set(registered);
  }

  /** Somebody is to hear of all that processes do. What that throws is kept: the code under test must not see it. */
  watch(hears: (event: HandEvent) => void, failed: (error: unknown) => void): void {
    this.#hears = (event) => {
      try {
        hears(event);
      } catch (error) {
        failed(error);
      }
    };
  }

  tell(event: HandEvent): void {
    this.#hears(event);
  }

  /** The call arrives; what it does is done when this returns. */
  call(item: Item, kind: AnswerKind): Answer {
    const answer = this.#answer(item.certificate, kind);
    const isThere = this.registered.has(item.certificate.deviceSn);
    const isDeleted = isThere && (kind === 'honest' || kind === 'lost-after' || kind === 'garbled-after');
    if (isDeleted) this.registered.delete(item.certificate.deviceSn);
    this.tell({ kind: 'called', item, answer: kind, isDeleted });
    return answer;
  }

  #answer({ deviceSn }: Certificate, kind: AnswerKind): Answer {
    if (kind === 'void') return { kind: 'not-sent', reason: 'slot-void', message: 'late' };
    this.calls.push(deviceSn);
    // The API's name for a call: no two have the same.
    this.#requests += 1;
    const requestId = `R-${this.#requests}`;
    if (kind === 'honest') {
      if (this.registered.has(deviceSn)) return { kind: 'accepted', requestId };
      return { ...refusal('FindDeviceBySnError'), requestId };
    }
    const answer = ANSWER[kind];
    return answer.kind === 'refused' ? { ...answer, requestId } : answer;
  }
}

const ANSWER: Readonly<Record<Exclude<AnswerKind, 'honest' | 'void'>, Answer>> = {
  busy: refusal('ServiceUnavailable'),
  unreachable: { kind: 'network', code: 'ECONNREFUSED', message: 'refused', effect: 'none' },
  'lost-before': { kind: 'network', code: 'ECONNRESET', message: 'reset', effect: 'unknown' },
  'lost-after': { kind: 'network', code: 'ETIMEDOUT', message: 'timeout', effect: 'unknown' },
  'garbled-after': { kind: 'garbled', status: 502, message: 'HTML' },
  throttled: { ...refusal('Throttling.User'), retryAfterMs: LONG_MS },
  refused: refusal('ParameterCheckFailed'),
  nonce: refusal('SignatureNonceUsed'),
  'old-token': refusal('InvalidSecurityToken.Expired'),
  forbidden: refusal('Forbidden.RAM'),
};

function refusal(code: string): Extract<Answer, { kind: 'refused' }> {
  return { kind: 'refused', status: 400, code, message: code, requestId: 'R' };
}
