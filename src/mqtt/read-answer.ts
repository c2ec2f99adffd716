import type { Accepted, Answer, Refused } from '../core/answer.ts';
import { blameOf } from '../core/code-table.ts';
import { AnswerTooLong, MAX_ANSWER_BYTES } from './bounded-answer.ts';
import type { ReadAnswer } from '../core/registered.ts';
import { fieldOf, textOf } from './fields.ts';
import { REQUEST_ID } from './repeated-answers.ts';
import { DeadlinePassed, SlotVoid, type OutgoingCall } from './outgoing-call.ts';
import type { Redact } from './redact.ts';

/** What is wrong with a body that should say the call was done; `isForeign` where it is another call's. */
export interface Doubt {
  readonly fault: string;
  readonly isForeign?: true;
}

/** What the body brings, or what is wrong with it. */
export type Proof<Data> = (body: unknown) => { readonly data: Data } | Doubt;

/** The serial number that was sent must come back beside the request id: of a device as `DeviceSn`, of a CA as `Sn`. */
export const echoes =
  (name: 'DeviceSn' | 'Sn', serial: string): Proof<undefined> =>
  (body) => {
    const echo = fieldOf(body, name);
    if (echo === serial) return { data: undefined };
    const what = name === 'Sn' ? 'CA' : 'device';
    return echo === undefined
      ? { fault: `it names no ${what}` }
      : { fault: `it names another ${what}`, isForeign: true };
  };

type Failed = Exclude<Answer, Accepted>;

/** Header values above this are taken for nonsense and cut to it, milliseconds. */
export const MAX_RETRY_AFTER_MS = 600_000;

/**
 * The answer in what the SDK resolves with. It resolves for every HTTP status and every JSON without a `Code`.
 * @param reply - `[body, entry]`
 */
export function readReply<Data>(reply: unknown, proof: Proof<Data>, redact: Redact): ReadAnswer<Data> {
  const body = fieldOf(reply, '0');
  const status = statusOf(fieldOf(reply, '1'));
  const requestId = requestIdOf(body, redact);
  const doubt = status === undefined || status < 200 || status > 299 ? { fault: 'it has no Code' } : proof(body);
  // The echo is the proof; an accepted call without a request id is accepted anyway.
  if ('data' in doubt) return { kind: 'accepted', requestId: requestId ?? '', data: doubt.data };
  return {
    kind: 'garbled',
    message: `the answer (HTTP ${status ?? 'status unknown'}) cannot be trusted: ${doubt.fault}`,
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(doubt.isForeign === true && { isForeign: true }),
  };
}

/**
 * The answer in whatever a call threw; never throws itself.
 * @param changes - whether the call was to change something: a read that is lost has changed nothing, whatever became of it
 */
export function readFailure(error: unknown, outgoing: OutgoingCall, changes: boolean, redact: Redact): Failed {
  if (error instanceof SlotVoid) return { kind: 'not-sent', reason: 'slot-void', message: error.message };
  const entry = fieldOf(error, 'entry');
  if (entry !== undefined) return readRefusal(error, entry, redact);
  const effect = outgoing.left && changes ? 'unknown' : 'none';
  if (error instanceof DeadlinePassed || outgoing.isOver) {
    const missed = outgoing.left ? 'no answer' : 'no connection';
    return { kind: 'network', code: 'timeout', message: `${missed} within ${outgoing.deadlineMs} ms`, effect };
  }
  if (error instanceof AnswerTooLong)
    return { kind: 'garbled', message: `the answer cannot be read: it has more than ${MAX_ANSWER_BYTES} bytes` };
  if (outgoing.left && isUnreadable(error)) {
    const text = textOf(error, 'text');
    const shown =
      text === undefined ? 'it is not a JSON object' : text.trim() === '' ? 'it is empty' : `it is not JSON: ${text}`;
    return { kind: 'garbled', message: redact(`the answer cannot be read: ${shown}`) };
  }
  return { kind: 'network', code: networkCodeOf(error), message: redact(withoutRequest(error)), effect };
}

function readRefusal(error: unknown, entry: unknown, redact: Redact): Failed {
  const status = statusOf(entry);
  const body = fieldOf(error, 'data');
  const requestId = requestIdOf(body, redact);
  const code = fieldOf(body, 'Code');
  if (status === undefined || (typeof code !== 'string' && typeof code !== 'number')) {
    const message = 'the answer cannot be trusted: its Code is not text';
    return {
      kind: 'garbled',
      message,
      ...(status === undefined ? {} : { status }),
      ...(requestId === undefined ? {} : { requestId }),
    };
  }
  const refused: Refused = {
    kind: 'refused',
    status,
    code: redact(String(code)),
    // The body's own: the error's message is this and the URL, credentials included.
    message: redact(textOf(body, 'Message') ?? ''),
    requestId: requestId ?? '',
  };
  const retryAfterMs = retryAfterOf(fieldOf(fieldOf(entry, 'response'), 'headers'), refused.code);
  return retryAfterMs === undefined ? refused : { ...refused, retryAfterMs };
}

/** How long the API asks us to wait, milliseconds: the longest of what its headers say. */
function retryAfterOf(headers: unknown, code: string): number | undefined {
  const asked = [parseMs(textOf(headers, 'x-acs-retry-after'))];
  if (blameOf(code) === 'rate') {
    for (const name of ['x-ratelimit-user', 'x-ratelimit-user-api']) {
      // `Limit:500,Remain:0,TimeLeft:300`; also present, and meaningless to us, on calls within the limit.
      asked.push(parseMs(/(?:^|[,;\s])TimeLeft\s*[:=]\s*(\d+)/i.exec(textOf(headers, name) ?? '')?.[1]));
    }
  }
  const told = asked.filter((ms) => ms !== undefined);
  return told.length === 0 ? undefined : Math.min(Math.max(...told), MAX_RETRY_AFTER_MS);
}

function parseMs(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The SDK's own words for a body that is no JSON object: a bare object named SyntaxError, or a TypeError; or one nested too deep for its parser. */
function isUnreadable(error: unknown): boolean {
  return textOf(error, 'name') === 'SyntaxError' || error instanceof TypeError || error instanceof RangeError;
}

/** The system's code, such as ECONNRESET; `timeout` for any of the timeouts, `failed` where there is none. */
function networkCodeOf(error: unknown): string {
  const code = textOf(error, 'code');
  if (code === 'ETIMEDOUT' || textOf(error, 'name') === 'RequestTimeoutError') return 'timeout';
  return code !== undefined && /^\w{1,60}$/.test(code) ? code : 'failed';
}

/** The SDK appends method and URL to messages; with a GET, the URL is the whole signed request. */
function withoutRequest(error: unknown): string {
  const message = textOf(error, 'message')
    ?.replace(/(?:GET|POST) https?:\/\/.*$/s, '')
    .trim();
  return message === undefined || message === '' ? networkCodeOf(error) : message;
}

function requestIdOf(body: unknown, redact: Redact): string | undefined {
  const requestId = textOf(body, 'RequestId');
  if (requestId === undefined || requestId === '') return undefined;
  return REQUEST_ID.test(requestId) ? requestId : redact(requestId);
}

function statusOf(entry: unknown): number | undefined {
  const status = fieldOf(fieldOf(entry, 'response'), 'statusCode');
  return typeof status === 'number' ? status : undefined;
}
