import type { Action } from '../../src/core/action.ts';
import type { Answer } from '../../src/core/answer.ts';
import type { ReadAnswer } from '../../src/core/registered.ts';
import type { CallVerdict } from '../../src/ledger/call-notes.ts';
import type { Reported } from '../../src/ledger/items.ts';
import type { Disposition, Item } from '../../src/queue/process/item.ts';

/** How a call ends; `honest` is by the registry alone: done, or not found, or of a read what is there. */
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

/** What a call found, and what it did; a read does nothing. */
export interface CallEffect {
  readonly isRead: boolean;
  readonly found: 'active' | 'inactive' | 'absent';
  /** It has made the certificate what its batch is for. */
  readonly isDone: boolean;
}

/** With which an action is refused that finds its work done. No row of the code table knows it. */
const SAME_STATE = 'DeviceStateConflict';

/** What a process does with an item, as it happens. */
export type HandEvent =
  | { readonly kind: 'begun'; readonly item: Item }
  /** `isServed`: the call may be made, was given a slot and is noted. */
  | { readonly kind: 'asked'; readonly item: Item; readonly verdict: CallVerdict; readonly isServed: boolean }
  /** Its slot ended unused: the note is taken back. */
  | { readonly kind: 'back'; readonly item: Item }
  /** It gets no slot: its worker leaves, or the account is halted. */
  | { readonly kind: 'sent-away'; readonly item: Item; readonly why: 'closed' | 'halted' }
  | { readonly kind: 'called'; readonly item: Item; readonly answer: AnswerKind; readonly how: CallEffect }
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
  /** Those of them that are marked inactive. */
  readonly inactive = new Set<string>();
  /** Inactivating what is inactive, or activating what is active, is refused. */
  readonly refusesSameState: boolean;
  /** Serial numbers called for since the last look. */
  readonly calls: string[] = [];
  readonly defects: string[] = [];
  /** Probes that were given back. */
  probesAgain = 0;
  isHalted = false;
  /** What retires may be deleted once it is not. */
  isCaActive = true;
  #hears: (event: HandEvent) => void = () => undefined;
  #requests = 0;

  constructor(registered: Iterable<string>, refusesSameState = false) {
    this.refusesSameState = refusesSameState;
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
    const { action, certificate } = item;
    const { deviceSn } = certificate;
    const found = this.#stateOf(deviceSn);
    const isRefused = found === 'absent' || (this.refusesSameState && found === STATE_AFTER[action]);
    const answer = this.#answer(
      deviceSn,
      kind,
      found === 'absent' ? 'FindDeviceBySnError' : isRefused ? SAME_STATE : '',
    );
    const isDone = !isRefused && (kind === 'honest' || kind === 'lost-after' || kind === 'garbled-after');
    if (isDone) this.#set(deviceSn, action);
    this.tell({ kind: 'called', item, answer: kind, how: { isRead: false, found, isDone } });
    return answer;
  }

  /** A read of the item's certificate. */
  read(
    item: Item,
    kind: AnswerKind,
  ): ReadAnswer<{ readonly status: 'active' | 'inactive'; readonly validEndMs: undefined }> {
    const { deviceSn } = item.certificate;
    const found = this.#stateOf(deviceSn);
    const answer = this.#answer(deviceSn, kind, found === 'absent' ? 'FindDeviceBySnError' : '');
    this.tell({ kind: 'called', item, answer: kind, how: { isRead: true, found, isDone: false } });
    return answer.kind !== 'accepted' || found === 'absent'
      ? (answer as Exclude<Answer, { kind: 'accepted' }>)
      : { ...answer, data: { status: found, validEndMs: undefined } };
  }

  #stateOf(deviceSn: string): CallEffect['found'] {
    if (!this.registered.has(deviceSn)) return 'absent';
    return this.inactive.has(deviceSn) ? 'inactive' : 'active';
  }

  #set(deviceSn: string, action: Action): void {
    if (action === 'delete') this.registered.delete(deviceSn);
    if (action === 'inactivate') this.inactive.add(deviceSn);
    else this.inactive.delete(deviceSn);
  }

  /** @param code - of an honest answer; empty where it is none */
  #answer(deviceSn: string, kind: AnswerKind, code: string): Answer {
    if (kind === 'void') return { kind: 'not-sent', reason: 'slot-void', message: 'late' };
    this.calls.push(deviceSn);
    // The API's name for a call: no two have the same.
    this.#requests += 1;
    const requestId = `R-${this.#requests}`;
    if (kind === 'honest') {
      return code === '' ? { kind: 'accepted', requestId } : { ...refusal(code), requestId };
    }
    const answer = ANSWER[kind];
    return answer.kind === 'refused' ? { ...answer, requestId } : answer;
  }
}

const STATE_AFTER = { delete: 'absent', inactivate: 'inactive', activate: 'active' } as const;

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
