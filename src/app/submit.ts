import type { Submitter } from '../ledger/awaiting.ts';
import type { Claim } from '../ledger/claims.ts';
import { DEFAULT_ACTION, type Action } from '../core/action.ts';
import type { OccurrenceClaim } from '../ledger/occurrence-claim.ts';
import type { PlanDetails } from '../ledger/plan.ts';
import type { ManifestRow } from '../manifest/row.ts';
import type { ManifestSummary, Rejection } from '../queue/submit/manifest-summary.ts';
import { planManifest, surveyManifest } from '../queue/submit/submission.ts';
import type { Config } from '../runtime/config/config.ts';
import { ownerIn } from './accounts.ts';
import { acting, lacksReason, type ReasonRequired } from './acting.ts';
import type { Store } from './store.ts';

export type { Priority } from '../ledger/batch-record.ts';
export type { ManifestSummary, Rejection } from '../queue/submit/manifest-summary.ts';

type Rows = AsyncIterable<readonly ManifestRow[]>;

/** What became of a submission. */
export interface Submitted {
  /** Where the certificates are; null when none was accepted. */
  readonly batch: string | null;
  /** Certificates that the action will be done to. */
  readonly accepted: number;
  /** Named twice, or pending already from an earlier submission: not accepted again. */
  readonly duplicates: number;
  /** Invalid ones. Without `skipInvalid` a single one refuses the whole submission. */
  readonly rejected: number;
  /** The first hundred of them; `line` is the position in the input, from 1. */
  readonly rejections: readonly Rejection[];
  /** They are revoked only once somebody else has approved the batch (`approvals.above`). */
  readonly awaitsApproval?: true;
}

/** Whether a manifest may run. `bad-rows`: it has some, and was not to be taken without them. `empty`: there is nothing to revoke. */
export type ManifestCheck = { readonly kind: 'acceptable' | 'bad-rows' | 'empty'; readonly summary: ManifestSummary };

export interface SubmitRequest extends PlanDetails {
  /** Leave bad rows out, instead of refusing the manifest for them. */
  readonly skipInvalid?: boolean;
  /**
   * Asked once the manifest is read whole and acceptable: how many certificates the operator means. Another number than the manifest's
   * refuses it, and so does an error. Without it, nobody is asked.
   */
  readonly confirm?: (summary: ManifestSummary, action: Action) => Promise<number>;
  /** Asked for the reason once the number is confirmed, where none is given. */
  readonly askReason?: () => Promise<string | undefined>;
  /** Asked once the manifest is read whole: the SHA-256 of its bytes, in hex. */
  readonly manifestSha256?: () => string;
  /** Of the plan file that the rows come from, which is good once. */
  readonly planId?: string;
  /** Who submits, if a token says so: nobody may approve their own batch. */
  readonly by?: Submitter;
  /** The claim of an idempotency key, and, once the manifest is read whole, what was sent with it. */
  readonly claim?: Pick<Claim, 'id' | 'holder'> & { readonly content: () => string };
  /** Of a schedule, which ends with it. */
  readonly occurrence?: OccurrenceClaim;
}

/** A submission that was taken in. */
export type TakenIn = Extract<SubmitOutcome, { readonly kind: 'running' | 'at-work' | 'awaits-approval' }>;

/** How a submission ends. Only after `running`, `at-work` and `unknown` may a certificate be revoked. */
export type SubmitOutcome =
  | { readonly kind: 'running'; readonly submitted: Submitted & { readonly batch: string } }
  /** It is larger than `approvals.above`, and runs once somebody else has approved it. */
  | { readonly kind: 'awaits-approval'; readonly submitted: Submitted & { readonly batch: string } }
  /** The same is at work already, as that batch: nothing was added. */
  | { readonly kind: 'at-work'; readonly submitted: Submitted & { readonly batch: string } }
  | { readonly kind: 'bad-rows'; readonly summary: ManifestSummary }
  | { readonly kind: 'empty'; readonly summary: ManifestSummary }
  /** The operator named another number than the manifest's. */
  | { readonly kind: 'unconfirmed'; readonly confirmed: number; readonly summary: ManifestSummary }
  | ReasonRequired
  /** The plan file was used before, for that batch. */
  | { readonly kind: 'used'; readonly batch: string }
  /** Another request has the claim by now. */
  | { readonly kind: 'claim-lost' }
  /** The occurrence has ended already, or another process is at it. */
  | { readonly kind: 'overtaken' }
  /** Redis lost what was stored before it ran, or it waited for more than an hour. */
  | { readonly kind: 'gone' }
  /** Redis did not answer: it may run, now or later. */
  | { readonly kind: 'unknown'; readonly batch: string; readonly rejected: number; readonly error: unknown };

/**
 * Reads a manifest whole and says whether it may run; touches nothing.
 * @throws what the reader throws, and ScratchUnavailable
 */
export async function checkManifest(config: Config, rows: Rows, skipInvalid: boolean): Promise<ManifestCheck> {
  return judge(await surveyManifest(rows, ownerIn(config)), skipInvalid);
}

/**
 * Reads a manifest whole, checks it, has it confirmed and makes it a running batch.
 * @throws what the reader, `confirm` or Redis throws, and ScratchUnavailable: then nothing was accepted
 */
export async function submitManifest(store: Store, rows: Rows, request: SubmitRequest): Promise<SubmitOutcome> {
  const { askReason } = request;
  if (askReason === undefined && lacksReason(store, request)) return { kind: 'reason-required' };
  return acting(store, () => readAndRun(store, rows, request));
}

async function readAndRun(store: Store, rows: Rows, request: SubmitRequest): Promise<SubmitOutcome> {
  const {
    skipInvalid = false,
    confirm,
    askReason,
    manifestSha256,
    planId,
    by,
    claim,
    occurrence,
    ...details
  } = request;
  const plan = await planManifest(rows, ownerIn(store.config), store, details);
  const { summary } = plan;
  let { reason } = details;
  let mayRun = false;
  try {
    const check = judge(summary, skipInvalid);
    if (check.kind !== 'acceptable') return { kind: check.kind, summary };
    const confirmed =
      confirm === undefined ? summary.accepted : await confirm(summary, details.action ?? DEFAULT_ACTION);
    if (confirmed !== summary.accepted) return { kind: 'unconfirmed', confirmed, summary };
    reason ??= await askReason?.();
    if (lacksReason(store, { ...(reason !== undefined && { reason }) })) return { kind: 'reason-required' };
    mayRun = true;
  } finally {
    if (!mayRun) await plan.discard();
  }
  const sha256 = manifestSha256?.();
  const { accepted, duplicates, rejected, rejections } = summary;
  const answer = { accepted, duplicates, rejected, rejections };
  const { above } = store.config.approvals;
  const activated = await plan.activate({
    ...(reason !== undefined && { reason }),
    ...(sha256 !== undefined && { manifestSha256: sha256 }),
    ...(planId !== undefined && { planId }),
    ...(above !== undefined && accepted > above && { awaiting: { by: by ?? null } }),
    ...(claim !== undefined && { claim: { ...claim, content: claim.content(), answer: JSON.stringify(answer) } }),
    ...(occurrence !== undefined && { occurrence }),
  });
  switch (activated.kind) {
    case 'running':
    case 'awaits-approval':
      return takenIn(activated.kind, activated.batch, answer);
    case 'duplicate':
      return takenIn('at-work', activated.batch, answer);
    case 'claim-lost':
      return { kind: 'claim-lost' };
    case 'unknown':
      return { kind: 'unknown', batch: activated.batch, rejected, error: activated.error };
    case 'used':
      return { kind: 'used', batch: activated.batch };
    case 'overtaken':
    case 'gone':
      return { kind: activated.kind };
  }
}

/** How a submission ends that was taken in, from what was counted of it. */
export function takenIn(kind: TakenIn['kind'], batch: string, counted: Omit<Submitted, 'batch'>): TakenIn {
  if (kind !== 'at-work') return { kind, submitted: { ...counted, batch } };
  const { accepted, duplicates } = counted;
  return { kind, submitted: { ...counted, batch, accepted: 0, duplicates: duplicates + accepted } };
}

function judge(summary: ManifestSummary, skipInvalid: boolean): ManifestCheck {
  if (summary.rejected > 0 && !skipInvalid) return { kind: 'bad-rows', summary };
  return { kind: summary.accepted === 0 ? 'empty' : 'acceptable', summary };
}
