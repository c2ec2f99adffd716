import { z } from '@hono/zod-openapi';
import type { ManifestCheck, SubmitOutcome, TakenIn } from '../../app/submit.ts';
import { describeRedisError } from '../../runtime/redis/describe-error.ts';
import { Problem, reasonRequired } from '../problem.ts';

/** Of one certificate as of a whole manifest. */
export const submittedAnswer = z
  .object({
    batch: z.string().nullable(),
    state: z.enum(['dry-run', 'running', 'at-work', 'awaits-approval']),
    accepted: z.int(),
    duplicates: z.int(),
    rejected: z.int(),
    rejections: z.array(z.object({ line: z.int(), reason: z.string() })).describe('The first hundred.'),
    manifestSha256: z.string().optional(),
    seconds: z.number().optional().describe('Of a dry run: how long it takes at least.'),
  })
  .openapi('Submitted');

/** What became of a submission, as an answer. */
export interface TakenReply {
  readonly status: 200 | 202;
  readonly body: object;
  readonly headers: Readonly<Record<string, string>>;
}

/** @throws Problem where it was not taken in, or where nobody knows */
export function takenReply(outcome: SubmitOutcome, basePath: string): TakenReply {
  switch (outcome.kind) {
    case 'running':
    case 'awaits-approval':
    case 'at-work':
      return replyOf(outcome, basePath);
    case 'bad-rows':
    case 'empty':
      throw notTaken(outcome);
    case 'unconfirmed':
      throw unconfirmed(outcome.summary.accepted, 'certificates', outcome.confirmed);
    case 'reason-required':
      throw reasonRequired();
    case 'claim-lost':
      throw keyInUse();
    case 'used':
    case 'overtaken':
    case 'gone':
      throw new Problem({
        status: 503,
        code: 'gone',
        title: 'Redis lost what was stored',
        detail: 'What was stored of the manifest is no longer there. Nothing runs.',
        next: 'Send it again.',
      });
    case 'unknown':
      throw new Problem({
        status: 504,
        code: 'unknown',
        title: 'It is not known whether it runs',
        detail: `${describeRedisError(outcome.error)}. The batch may run, now or later, as ${outcome.batch}.`,
        next: `GET /v1/batches/${outcome.batch} when Redis is back. Or send the same with the same Idempotency-Key: it is not done twice.`,
        more: { batch: outcome.batch },
      });
  }
}

export function notTaken({
  kind,
  summary,
}: ManifestCheck | Extract<SubmitOutcome, { readonly kind: 'bad-rows' | 'empty' }>): Problem {
  const { accepted, duplicates, rejected, rejections } = summary;
  const isBad = kind === 'bad-rows';
  return new Problem({
    status: 422,
    code: isBad ? 'bad-rows' : 'empty',
    title: isBad ? 'The manifest has bad rows' : 'There is nothing to revoke',
    detail: isBad ? `${rejected} rows are bad. Nothing was touched.` : 'It has no certificate. Nothing was touched.',
    next: isBad ? 'Correct them, or leave them out with skipInvalid=true.' : 'Check what wrote the manifest.',
    more: { accepted, duplicates, rejected, rejections },
  });
}

/** @param things - what is counted */
export function unconfirmed(expected: number, things: string, confirmed: number): Problem {
  return new Problem({
    status: 409,
    code: 'unconfirmed',
    title: 'Another number was confirmed',
    detail: `${confirmed} was confirmed, and there are ${expected} ${things}. Nothing was touched.`,
    next: `If you mean these, send it with confirm=${expected}.`,
    more: { expected },
  });
}

export function keyInUse(): Problem {
  return new Problem({
    status: 409,
    code: 'idempotency-key-in-use',
    title: 'The first request is still at work',
    detail: 'Another request with this Idempotency-Key is at work, or its process has just died. This one did nothing.',
    next: 'Send it again in half a minute: it answers as the first one did.',
    headers: { 'retry-after': '30' },
  });
}

export function otherContent(batch: string): Problem {
  return new Problem({
    status: 422,
    code: 'idempotency-key-reused',
    title: 'The key belongs to something else',
    detail: `This Idempotency-Key was used for another manifest, or with other parameters, which became batch ${batch}. Nothing was touched.`,
    next: 'Take a new key for each manifest.',
    more: { batch },
  });
}

function replyOf({ kind: state, submitted }: TakenIn, basePath: string): TakenReply {
  const headers = { location: `${basePath}/v1/batches/${submitted.batch}` };
  return { status: state === 'at-work' ? 200 : 202, body: { ...submitted, state }, headers };
}
