import { HTTPException } from 'hono/http-exception';
import { AuditFileUnavailable } from '../app/acting.ts';
import type { Store } from '../app/store.ts';
import { ManifestError } from '../manifest/fault.ts';
import { ScratchUnavailable } from '../manifest/scratch-file.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { resultOf } from '../runtime/redis/command-result.ts';
import { Problem } from './problem.ts';

/** How the client of Redis calls what it throws. */
const OF_REDIS = ['ReplyError', 'MaxRetriesPerRequestError', 'AbortError', 'RedisError', 'ClusterAllFailedError'];
const BY_MESSAGE = /^(?:Command timed out|Connection is closed|Stream isn't writeable)/;
const BY_CODE = /^(?:ECONN|ENOENT|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/;

/**
 * Makes a change of which the application does not say itself whether Redis has done it, and reads afterwards how it ended.
 * @throws Problem where Redis was lost on the way: what was sent may be done, now or when the connection is back
 */
export async function changing<T>({ redis }: Store, change: () => Promise<T>): Promise<T> {
  const result = await resultOf(redis, change);
  if (result.kind === 'done') return result.reply;
  if (result.kind === 'refused' || !isOfRedis(result.error)) throw result.error;
  throw new Problem(
    {
      status: 504,
      code: 'unknown',
      title: 'It is not known whether it was done',
      detail: `${describeRedisError(result.error)}. It may be done, now or later.`,
      next: 'Check the state when Redis is back, or send the same again: nothing is done twice.',
    },
    { cause: result.error },
  );
}

/** The answer to a client where an error was thrown on the way. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ManifestError) return badManifest(error.message);
  if (error instanceof ScratchUnavailable || error instanceof AuditFileUnavailable) {
    return unavailable('unavailable', error.message, 'Have the operator of this service do that, then send it again.');
  }
  if (error instanceof HTTPException) {
    const { status, message } = error;
    const title = 'The request is not understood';
    return new Problem({ status, code: 'bad-request', title, detail: message, next: 'Correct the request.' });
  }
  if (isOfRedis(error)) {
    const detail = `${describeRedisError(error)}.`;
    return unavailable('redis-unavailable', detail, 'Send it again in a few seconds.');
  }
  return new Problem(
    {
      status: 500,
      code: 'defect',
      title: 'Something went wrong here',
      detail: 'This is a defect of the service, not of the request.',
      next: 'The log of certsweep serve has the error. Check the state before you send it again.',
    },
    { cause: error },
  );
}

/** Whether only the client needs to know. */
export function isDefect({ document }: Problem): boolean {
  return document.status === 500;
}

function badManifest(detail: string): Problem {
  const next = 'Correct the manifest and send it again. Nothing was touched.';
  return new Problem({ status: 422, code: 'bad-manifest', title: 'The manifest cannot be trusted', detail, next });
}

function unavailable(code: string, detail: string, next: string): Problem {
  const headers = { 'retry-after': '2' };
  return new Problem({ status: 503, code, title: 'Not available now', detail, next, headers });
}

function isOfRedis(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return OF_REDIS.includes(error.name) || BY_MESSAGE.test(error.message) || BY_CODE.test(code);
}
