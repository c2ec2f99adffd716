import { randomUUID } from 'node:crypto';
import { faceOf } from './codes.ts';
import { pickOne, type Random } from './seeded.ts';

/** What is to happen on the wire. `code` is what the report counts it under. */
export type Delivery =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly contentType: string;
      readonly body: string;
      /** Header `x-acs-retry-after`, milliseconds. */
      readonly retryAfterMs?: number;
      readonly code: string;
    }
  | { readonly kind: 'reset'; readonly code: string }
  | { readonly kind: 'silence'; readonly code: string };

/** Counted for answers that carry no code: HTML, an empty body, a reset, silence. */
const NO_CODE = '(no code)';

const JSON_TYPE = 'application/json;charset=utf-8';
const HOST_ID = 'onsmqtt.sandbox.local';

export const reset: Delivery = { kind: 'reset', code: NO_CODE };
export const silence: Delivery = { kind: 'silence', code: NO_CODE };

/** `{"RequestId", "DeviceSn"}`, the answer of the operations that change a certificate; for a CA it is `Sn`. */
export function echoAnswer(name: 'DeviceSn' | 'Sn', serial: string): Delivery {
  const body = `{"RequestId":"${makeRequestId()}","${name}":${JSON.stringify(serial)}}`;
  return { kind: 'answer', status: 200, contentType: JSON_TYPE, body, code: 'OK' };
}

export function dataAnswer(data: Readonly<Record<string, unknown>>): Delivery {
  const body = JSON.stringify({ RequestId: makeRequestId(), Data: data });
  return { kind: 'answer', status: 200, contentType: JSON_TYPE, body, code: 'OK' };
}

export interface ErrorDetail {
  readonly message?: string | undefined;
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** An error of the API, under one of the statuses its code was seen with; half of them with a `Recommend` link. */
export function errorAnswer(code: string, random: Random, detail: ErrorDetail = {}): Delivery {
  const { statuses, message } = faceOf(code);
  const requestId = makeRequestId();
  const body: Record<string, string> = {
    RequestId: requestId,
    HostId: HOST_ID,
    Code: code,
    Message: detail.message ?? message,
  };
  if (random() < 0.5) body['Recommend'] = `https://api.aliyun.com/troubleshoot?q=${code}&requestId=${requestId}`;
  return {
    kind: 'answer',
    status: detail.status ?? pickOne(random, statuses),
    contentType: JSON_TYPE,
    body: JSON.stringify(body),
    ...(detail.retryAfterMs === undefined ? {} : { retryAfterMs: detail.retryAfterMs }),
    code,
  };
}

/** JSON without a code. The official SDK resolves it as a success, whatever the status. */
export function codelessAnswer(status: number, message?: string): Delivery {
  const body = message === undefined ? '{}' : JSON.stringify({ RequestId: makeRequestId(), Message: message });
  return { kind: 'answer', status, contentType: JSON_TYPE, body, code: NO_CODE };
}

/** The page of a proxy that lost its upstream. */
export function htmlAnswer(status: number): Delivery {
  const body = `<html><head><title>${status} Bad Gateway</title></head><body><h1>${status} Bad Gateway</h1></body></html>\n`;
  return { kind: 'answer', status, contentType: 'text/html', body, code: NO_CODE };
}

export function emptyAnswer(status: number): Delivery {
  return { kind: 'answer', status, contentType: JSON_TYPE, body: '', code: NO_CODE };
}

function makeRequestId(): string {
  return randomUUID().toUpperCase();
}
