import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import { ACTIONS, DEFAULT_ACTION } from '../../core/action.ts';
import type { RetireDetails } from '../../core/retirement.ts';
import { answerAgain, claimIdempotencyKey, contentOf, endClaim, type Claimed } from '../../app/idempotent.ts';
import { estimate } from '../../app/estimate.ts';
import { checkManifest, submitManifest, type ManifestSummary, type SubmitOutcome } from '../../app/submit.ts';
import { readManifest, type ManifestFormat } from '../../manifest/read-manifest.ts';
import type { ManifestRow } from '../../manifest/row.ts';
import { addRoute, type Api, type Asked, type Reply, type Surroundings } from '../api.ts';
import { readBody } from '../body.ts';
import { badRequest, Problem } from '../problem.ts';
import { requireWithin } from '../rights.ts';
import { flag, reason, timeSpan, wholeNumber } from '../schemas.ts';
import { keyInUse, notTaken, otherContent, submittedAnswer, takenReply } from './submit-answers.ts';

const FORMATS: Readonly<Record<string, ManifestFormat>> = {
  'text/csv': 'csv',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
};
/** Manifests read at once by a process: each holds some memory and a plan in Redis. */
const UPLOADS_AT_ONCE = 4;

const query = z.strictObject({
  execute: flag.describe('Submit it. Without this, it is a dry run that touches nothing.'),
  confirm: wholeNumber.optional().describe('With execute: the number of certificates that you mean.'),
  action: z
    .enum(ACTIONS, { error: `give one of ${ACTIONS.join(', ')}` })
    .default(DEFAULT_ACTION)
    .describe('Action for the certificates.'),
  soak: timeSpan
    .optional()
    .describe('Of retire: how long they stay inactive before they may be deleted; a day unless it is said.'),
  deviceDestroyed: flag.describe('Of retire: delete also while the CA is active, since no device can come back.'),
  priority: z.enum(['urgent', 'bulk'], { error: 'give urgent or bulk' }).default('bulk'),
  skipInvalid: flag.describe('Leave bad rows out instead of refusing the manifest.'),
  allowUnterminated: flag.describe('Take the last row of a CSV without a line end.'),
  instance: z.string().max(128).optional().describe('Instance of every row that names none.'),
  ca: z.string().max(128).optional().describe('CA serial number of every row that names none.'),
  reason: reason.optional(),
});
type Query = z.infer<typeof query>;

/** Manifests come in here. */
export function addSubmission(api: Api, surroundings: Surroundings): void {
  let uploads = 0;
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/batches',
      right: 'submit',
      summary: 'Check a manifest, and with execute submit it',
      query,
      headers: z.object({
        'idempotency-key': z
          .string()
          .optional()
          .describe('Of several requests with one key within 24 hours, one makes a batch. Dry runs ignore it.'),
      }),
      streams: Object.keys(FORMATS),
      answers: {
        200: { description: 'A dry run, or the same manifest is already submitted.', schema: submittedAnswer },
        202: { description: 'It runs, or waits for its approval.', schema: submittedAnswer },
      },
    },
    async (asked, { query: given }) => {
      refuseMisplaced(given);
      if (uploads >= UPLOADS_AT_ONCE) throw busy();
      uploads += 1;
      try {
        return await (given.execute ? execute(asked, given, surroundings) : rehearse(asked, given, surroundings));
      } finally {
        uploads -= 1;
      }
    },
  );
}

async function rehearse(asked: Asked, given: Query, { store: { config } }: Surroundings): Promise<Reply> {
  const hash = createHash('sha256');
  const { kind, summary } = await checkManifest(config, rowsOf(asked, given, hash), given.skipInvalid);
  within(asked, summary);
  if (kind !== 'acceptable') throw notTaken({ kind, summary });
  const { accepted, duplicates, rejected, rejections } = summary;
  const { seconds } = estimate(summary, config);
  const counted = { accepted, duplicates, rejected, rejections };
  const manifestSha256 = hash.digest('hex');
  return { status: 200, body: { batch: null, state: 'dry-run', ...counted, manifestSha256, seconds } };
}

async function execute(asked: Asked, given: Query, surroundings: Surroundings): Promise<Reply> {
  const { store } = surroundings;
  const { confirm } = given;
  if (confirm === undefined) {
    throw badRequest(
      'With execute, confirm is missing. Nothing was touched.',
      'Send it without execute to get the number, and then with confirm=<n>.',
    );
  }
  const who = asked.get('who');
  const key = idempotencyKeyOf(asked);
  const claimed = key === undefined ? undefined : await claimIdempotencyKey(store, who, key);
  if (claimed?.kind === 'running') throw keyInUse();
  if (claimed?.kind === 'bound') return again(asked, given, surroundings, claimed);
  const hash = createHash('sha256');
  let digest: string | undefined;
  const manifestSha256 = (): string => (digest ??= hash.digest('hex'));
  const claim = claimed?.claim;
  let outcome: SubmitOutcome | undefined;
  try {
    outcome = await submitManifest(store, rowsOf(asked, given, hash), {
      action: given.action,
      priority: given.priority,
      skipInvalid: given.skipInvalid,
      retire: retireOf(given),
      requestedBy: who.name,
      ...(given.reason !== undefined && { reason: given.reason }),
      ...(who.sha256 !== undefined && { by: { name: who.name, sha256: who.sha256 } }),
      ...(claim !== undefined && { claim: { ...claim, content: () => contentOf(manifestSha256(), said(given)) } }),
      manifestSha256,
      confirm: (summary) => {
        within(asked, summary);
        return Promise.resolve(confirm);
      },
    });
  } finally {
    if (claim !== undefined) await endClaim(claim, outcome);
  }
  return takenReply(outcome, store.config.http.basePath);
}

/** The key made a batch before: what is sent now is only read, to see whether it is the same. */
async function again(
  asked: Asked,
  given: Query,
  { store }: Surroundings,
  earlier: Extract<Claimed, { readonly kind: 'bound' }>,
): Promise<Reply> {
  const hash = createHash('sha256');
  for await (const bytes of readBody(asked.env.incoming, asked.env.limits.manifest)) hash.update(bytes);
  const outcome = answerAgain(earlier, contentOf(hash.digest('hex'), said(given)));
  if (outcome === undefined) throw otherContent(earlier.batch);
  const { status, body, headers } = takenReply(outcome, store.config.http.basePath);
  return { status, body, headers: { ...headers, 'idempotency-replayed': 'true' } };
}

/** What was said of the manifest, in one order. */
function said(given: Query): object {
  const { action, priority, skipInvalid, allowUnterminated, instance, ca } = given;
  return { action, priority, skipInvalid, allowUnterminated, instance, ca, ...retireOf(given) };
}

function retireOf({ soak, deviceDestroyed }: Query): Partial<RetireDetails> {
  return { ...(soak !== undefined && { soakMs: soak }), ...(deviceDestroyed && { deviceDestroyed }) };
}

/** A caller that says how long certificates must be kept expects them to be kept. */
function refuseMisplaced({ action, soak, deviceDestroyed }: Query): void {
  if (action === 'retire' || (soak === undefined && !deviceDestroyed)) return;
  throw badRequest(
    `soak and deviceDestroyed belong to action=retire, and the action is ${action}. Nothing was touched.`,
    'Leave them out, or send action=retire.',
  );
}

function within(asked: Asked, { instances, accepted }: ManifestSummary): void {
  const touched = new Set(instances.map(({ account }) => account));
  requireWithin(asked.get('who'), touched, accepted);
}

function rowsOf(
  asked: Asked,
  { instance, ca, allowUnterminated }: Query,
  hash: ReturnType<typeof createHash>,
): AsyncIterable<readonly ManifestRow[]> {
  const type = (asked.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const format = FORMATS[type];
  if (format === undefined) {
    throw new Problem({
      status: 415,
      code: 'content-type',
      title: 'Not a manifest',
      detail: `The content type is ${JSON.stringify(type.slice(0, 60))}. Nothing was touched.`,
      next: `Send it as ${Object.keys(FORMATS).join(' or ')}.`,
    });
  }
  return readManifest(hashed(asked.env, hash), {
    format,
    ...(instance !== undefined && { instanceId: instance }),
    ...(ca !== undefined && { caSn: ca }),
    allowUnended: allowUnterminated,
  });
}

async function* hashed(
  { incoming, limits }: Asked['env'],
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Buffer> {
  for await (const bytes of readBody(incoming, limits.manifest)) {
    hash.update(bytes);
    yield bytes;
  }
}

function idempotencyKeyOf(asked: Asked): string | undefined {
  const key = asked.req.header('idempotency-key');
  if (key === undefined || /^[!-~]{1,255}$/.test(key)) return key;
  throw badRequest('The Idempotency-Key is not usable.', 'Give 1 to 255 visible ASCII characters, like a UUID.');
}

function busy(): Problem {
  return new Problem({
    status: 503,
    code: 'busy',
    title: 'Busy with other manifests',
    detail: `This process reads ${UPLOADS_AT_ONCE} manifests at once. Nothing was touched.`,
    next: 'Send it again in a while.',
    headers: { 'retry-after': '5' },
  });
}
