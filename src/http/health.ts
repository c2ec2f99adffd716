import type { Store } from '../app/store.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import type { Api } from './api.ts';

/** Open to anyone who reaches the port, by whatever name. */
export const OPEN_PATHS: readonly string[] = ['/livez', '/readyz'];

/** How long an answer is kept: it asks Redis, and anyone may ask. */
const READINESS_LIFE_MS = 1_000;
const TEXT = { 'content-type': 'text/plain; charset=utf-8' } as const;

/** What a supervisor and a balancer ask: whether the process is worth keeping, and whether it can serve now. */
export function addHealth(api: Api, { redis }: Store): void {
  let known: { readonly reason: Promise<string | undefined>; readonly untilMs: number } | undefined;
  const notReadyBecause = async (): Promise<string | undefined> => {
    const nowMs = performance.now();
    if (known === undefined || nowMs >= known.untilMs) {
      const reason = redis.ping().then(() => undefined, describeRedisError);
      known = { reason, untilMs: nowMs + READINESS_LIFE_MS };
    }
    return known.reason;
  };
  api.get('/livez', (asked) => asked.body('ok\n', 200, TEXT));
  api.get('/readyz', async (asked) => {
    const reason = await notReadyBecause();
    return reason === undefined ? asked.body('ok\n', 200, TEXT) : asked.body(`${reason}\n`, 503, TEXT);
  });
}
