import type { Action } from '../core/action.ts';
import { planUse, PLAN_GOOD_MS } from '../ledger/plan-use.ts';
import { PlanFileFault, readPlanBody, readPlanHeader, type PlanHeader } from '../plan/plan-file.ts';
import { accountOf, type Config } from '../runtime/config/config.ts';
import type { Store } from './store.ts';
import {
  checkManifest,
  submitManifest,
  type ManifestSummary,
  type SubmitOutcome,
  type SubmitRequest,
} from './submit.ts';

/** Why nothing of a plan file may run. */
export type PlanFault =
  | { readonly kind: PlanFileFault['kind']; readonly why: string }
  /** The configuration has no such account, or it calls another endpoint. */
  | { readonly kind: 'other-account'; readonly account: string }
  /** The configuration does not have the instance under this account. */
  | { readonly kind: 'other-instance'; readonly instanceId: string; readonly account: string }
  | { readonly kind: 'used'; readonly batch: string }
  | { readonly kind: 'stale'; readonly ageMs: number };

export interface PlanRefused {
  readonly kind: 'plan-refused';
  readonly fault: PlanFault;
}

/** How a submission of a plan file ends; see `SubmitOutcome`. */
export type PlanSubmitOutcome = Exclude<SubmitOutcome, { readonly kind: 'bad-rows' | 'empty' | 'used' }> | PlanRefused;

/**
 * Says whether a plan file may run; touches nothing.
 * @throws ScratchUnavailable, and what Redis throws
 */
export async function checkPlan(
  store: Store,
  path: string,
): Promise<{ readonly kind: 'acceptable'; readonly action: Action; readonly summary: ManifestSummary } | PlanRefused> {
  return trusting(async () => {
    const plan = await openPlan(store, path);
    const { summary } = await checkManifest(store.config, readPlanBody(path, plan), true);
    mustBeWhole(summary, plan.header);
    return { kind: 'acceptable', action: plan.header.action, summary };
  });
}

/**
 * Reads a plan file whole, checks it, has it confirmed and makes it a running batch.
 * @throws what `confirm` or Redis throws, and ScratchUnavailable: then nothing was accepted
 */
export async function submitPlan(
  store: Store,
  path: string,
  { confirm, ...details }: Omit<SubmitRequest, 'action' | 'skipInvalid' | 'manifestSha256' | 'planId' | 'claim'>,
): Promise<PlanSubmitOutcome> {
  return trusting(async () => {
    const plan = await openPlan(store, path);
    const { id, action, manifestSha256 } = plan.header;
    const outcome = await submitManifest(store, readPlanBody(path, plan), {
      ...details,
      action,
      planId: id,
      ...(manifestSha256 !== null && { manifestSha256: () => manifestSha256 }),
      confirm: async (summary) => {
        mustBeWhole(summary, plan.header);
        return confirm === undefined ? summary.accepted : confirm(summary, action);
      },
    });
    switch (outcome.kind) {
      case 'used':
        return refusedFor({ kind: 'used', batch: outcome.batch });
      case 'bad-rows':
      case 'empty':
        return refusedFor({ kind: 'edited', why: 'its certificates are not those that were planned' });
      case 'running':
      case 'awaits-approval':
      case 'claim-lost':
      case 'at-work':
      case 'unconfirmed':
      case 'reason-required':
      case 'overtaken':
      case 'gone':
      case 'unknown':
        return outcome;
    }
  });
}

async function openPlan(store: Store, path: string): Promise<Awaited<ReturnType<typeof readPlanHeader>>> {
  const plan = await readPlanHeader(path);
  const { nowMs, usedBy } = await planUse(store.ledger, plan.header.id);
  const fault = faultOf(plan.header, store.config, { nowMs, usedBy });
  if (fault !== undefined) throw new Untrusted(fault);
  return plan;
}

function faultOf(
  { accounts, instances, inventory }: PlanHeader,
  config: Config,
  { nowMs, usedBy }: Awaited<ReturnType<typeof planUse>>,
): PlanFault | undefined {
  for (const { name, endpoint } of accounts) {
    const isSame = config.accounts.some((account) => account.name === name && account.endpoint === endpoint);
    if (!isSame) return { kind: 'other-account', account: name };
  }
  for (const { instanceId, account } of instances) {
    if (accountOf(config, instanceId)?.name !== account) return { kind: 'other-instance', instanceId, account };
  }
  if (usedBy !== undefined) return { kind: 'used', batch: usedBy };
  const ageMs = nowMs - inventory.atMs;
  // One from the future was made with another Redis, or its header was made by hand.
  return Math.abs(ageMs) > PLAN_GOOD_MS ? { kind: 'stale', ageMs } : undefined;
}

/** A header that was made by hand may say another number than there are certificates. */
function mustBeWhole(
  { accepted, rejected, duplicates, instances }: ManifestSummary,
  { certificates, instances: planned }: PlanHeader,
): void {
  const isWhole =
    rejected + duplicates === 0 &&
    accepted === certificates &&
    instances.every(({ instanceId, items }) =>
      planned.some((one) => one.instanceId === instanceId && one.certificates === items),
    );
  if (!isWhole) throw new Untrusted({ kind: 'edited', why: 'its certificates are not those that its header counts' });
}

class Untrusted extends Error {
  readonly fault: PlanFault;

  constructor(fault: PlanFault) {
    super(`the plan is refused: ${fault.kind}`);
    this.fault = fault;
  }
}

async function trusting<T>(work: () => Promise<T>): Promise<T | PlanRefused> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Untrusted) return refusedFor(error.fault);
    if (error instanceof PlanFileFault) return refusedFor({ kind: error.kind, why: error.message });
    throw error;
  }
}

function refusedFor(fault: PlanFault): PlanRefused {
  return { kind: 'plan-refused', fault };
}
