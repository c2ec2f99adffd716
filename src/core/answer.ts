import { blameOf, mayHaveDone } from './code-table.ts';

/**
 * What came back of one call, in the API's words. `effect` says whether the certificate may be gone nevertheless:
 * `none` when the call certainly changed nothing, `unknown` when the answer was lost or says nothing.
 */
export type Answer = Accepted | Refused | Garbled | NetworkFault | NotSent;

/** The API did it: a 2xx whose body echoes the serial number that was sent. */
export interface Accepted {
  readonly kind: 'accepted';
  readonly requestId: string;
}

/** The API answered with a Code. Codes decide; the status is kept for the record only. */
export interface Refused {
  readonly kind: 'refused';
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly requestId: string;
  /** From `x-acs-retry-after`, milliseconds. */
  readonly retryAfterMs?: number;
}

/** An answer without a Code that is no success either: HTML, an empty body, `{}`, a 5xx, another device's echo. */
export interface Garbled {
  readonly kind: 'garbled';
  readonly status?: number;
  readonly message: string;
  readonly requestId?: string;
  /** It names another device: it is another call's. */
  readonly isForeign?: boolean;
}

/** No answer. `effect` is `none` only when no connection was ever made. */
export interface NetworkFault {
  readonly kind: 'network';
  readonly code: string;
  readonly message: string;
  readonly effect: 'none' | 'unknown';
}

/** Nothing left this process. */
export interface NotSent {
  readonly kind: 'not-sent';
  readonly reason: 'slot-void' | 'no-credentials';
  readonly message: string;
}

/** The code under which an answer is kept: the API's own, or one of ours in lower case. */
export function codeOf(answer: Answer): string {
  switch (answer.kind) {
    case 'accepted':
      return 'OK';
    case 'refused':
      return answer.code;
    case 'garbled':
      return 'garbled-answer';
    case 'network':
      return `network-${answer.code}`;
    case 'not-sent':
      return answer.reason;
  }
}

/** The API's own name for the call, for its support; empty where none came. */
export function requestIdOf(answer: Answer): string {
  switch (answer.kind) {
    case 'accepted':
    case 'refused':
      return answer.requestId;
    case 'garbled':
      return answer.requestId ?? '';
    case 'network':
    case 'not-sent':
      return '';
  }
}

/** Whether the certificate may have been deleted although nobody said so. */
export function effectUnknown(answer: Answer): boolean {
  switch (answer.kind) {
    case 'garbled':
      return true;
    case 'network':
      return answer.effect === 'unknown';
    case 'refused':
      return mayHaveDone(blameOf(answer.code));
    case 'accepted':
    case 'not-sent':
      return false;
  }
}
