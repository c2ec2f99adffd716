import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { obstaclesOf, type PlanObstacle } from '../core/plan.ts';
import { printable } from '../core/printable.ts';
import { activatedReason, AWAITS_APPROVAL } from '../ledger/occurrence-claim.ts';
import type { ScheduleConfig } from '../runtime/config/config.ts';
import { waitsBecause } from '../schedule/batch-watch.ts';
import type { Run, RunEnd, RunRequest } from '../schedule/run.ts';
import { prunePlans } from './kept-plans.ts';
import { planOf, type PlanEnd, type PlanReport } from './plan.ts';
import { writeSelection, type Selection } from './schedule-listing.ts';
import { submitPlan } from './submit-plan.ts';
import type { Motive } from './acting.ts';
import type { OpenStore } from './store.ts';

/** How to do a run, beside what its rule says. */
export interface RunOptions {
  /** Unix milliseconds by the schedule's clock. */
  readonly now: () => Promise<number>;
  /** In place of the rule's own. */
  readonly execute?: boolean;
  /** Who asked for it; without one, the schedule itself did. */
  readonly motive?: Motive;
  /** Hears of the plan. */
  readonly tellPlan?: (report: PlanReport, file: string) => void;
}

/** A run of a schedule: what an inventory selects becomes a plan, and the plan a batch, unless something speaks against it. */
export function scheduleRun(store: OpenStore, options: RunOptions): Run {
  return async (request) => {
    const { rule, claim } = request;
    const folder = join(store.config.dataDir, 'schedules', rule.name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const base = join(folder, claim.id.slice(rule.name.length + 1, claim.id.indexOf('[')).replaceAll(':', ''));
    const manifest = `${base}.ndjson`;
    try {
      return await runOnce(store, options, request, { manifest, plan: `${base}.plan`, report: `${base}.json` });
    } catch (error) {
      // Of a run that was cut off, or whose Redis is away, nobody knows how it would have ended: it is made again.
      if (request.signal.aborted) return { kind: 'left' };
      if (store.redis.status !== 'ready') throw error;
      return failed(error instanceof Error ? printable(error.message) : String(error));
    } finally {
      await rm(manifest, { force: true });
      // Files that stay too long do no harm, and a run that ended has ended.
      await prunePlans(folder, Date.now()).catch(() => undefined);
    }
  };
}

interface Files {
  readonly manifest: string;
  readonly plan: string;
  readonly report: string;
}

async function runOnce(store: OpenStore, options: RunOptions, request: RunRequest, files: Files): Promise<RunEnd> {
  const { rule, signal } = request;
  const selection = await writeSelection(store, rule, files.manifest, { signal, nowMs: await options.now() });
  if (selection.kind !== 'selected') return selection;
  if (selection.certificates === 0) return { kind: 'skipped', reason: 'nothing to do: no certificate is selected' };
  const { rows, manifestSha256 } = selection;
  // Without caps: what passes them is planned anyway, for a person.
  const source = { kind: 'manifest', rows: rows(), manifestSha256 } as const;
  const end = await planOf(store, { source, action: rule.action, caps: {}, out: files.plan }, signal);
  if (end.kind !== 'planned') return planless(end);
  const { report } = end;
  await writeFile(files.report, `${JSON.stringify(report, null, 2)}\n`, { mode: 0o600 });
  options.tellPlan?.(report, files.plan);
  const obstacle = obstacleTo(rule, report, selection);
  const kept = `the plan is ${files.plan}`;
  if (obstacle !== undefined) return { kind: 'stopped', reason: `${obstacle}; ${kept}` };
  const things = report.certificates === 1 ? '1 certificate' : `${report.certificates} certificates`;
  if (!(options.execute ?? rule.execute)) return { kind: 'planned', reason: `${things}; ${kept}` };
  return submit(store, options, request, files.plan);
}

async function submit(
  store: OpenStore,
  { now, motive }: RunOptions,
  { rule, claim }: RunRequest,
  plan: string,
): Promise<RunEnd> {
  const nowMs = await now();
  const waits = waitsBecause(rule, nowMs);
  const occurrence = { ...claim, nowMs, ...(waits !== undefined && { waitsBecause: waits }) };
  const asked = { requestedBy: `schedule ${rule.name}`, reason: claim.id, ...motive };
  const outcome = await submitPlan(store, plan, { priority: 'bulk', ...asked, occurrence });
  switch (outcome.kind) {
    case 'running': {
      const { batch, accepted } = outcome.submitted;
      return { kind: 'activated', batch, reason: activatedReason(accepted, waits) };
    }
    case 'awaits-approval': {
      const { batch, accepted } = outcome.submitted;
      return { kind: 'activated', batch, reason: activatedReason(accepted, AWAITS_APPROVAL) };
    }
    case 'at-work':
      return { kind: 'skipped', reason: `the same certificates are already in batch ${outcome.submitted.batch}` };
    case 'overtaken':
      return { kind: 'left' };
    case 'unknown':
      // It may run, and has then ended the occurrence; if not, the next read finds it due.
      return { kind: 'left' };
    case 'plan-refused':
      return failed(`the plan was refused (${outcome.fault.kind})`);
    case 'gone':
      return failed('Redis lost the batch before it was complete');
    case 'unconfirmed':
    case 'reason-required':
    case 'claim-lost':
      return failed(`the batch was refused (${outcome.kind})`);
  }
}

/** Why a plan is kept for a person, and nothing is called; undefined where nothing speaks against it. */
function obstacleTo(
  { maxItems, maxShareOfCa }: ScheduleConfig,
  { cas, classes }: PlanReport,
  { isMoved, isShort }: Extract<Selection, { kind: 'selected' }>,
): string | undefined {
  if (isShort) {
    const why = isMoved ? 'its order changed while it was read' : 'it ended before its total was reached';
    return `the listing is incomplete (${why}): run the schedule again`;
  }
  // The inventory has just seen them: between two whole listings, few go.
  if (isMoved && classes.absent > 0)
    return `the order of the listing changed, and ${classes.absent} certificates that it had are not in the plan`;
  const [first, ...more] = obstaclesOf(cas, { maxItems, maxShareOfCa }).map(describe);
  return first === undefined ? undefined : `${first}${more.length === 0 ? '' : ` (and ${more.length} more)`}`;
}

function describe(obstacle: PlanObstacle): string {
  switch (obstacle.kind) {
    case 'empty':
      return 'nothing to do';
    case 'too-many':
      return `${obstacle.certificates} certificates are more than maxItems (${obstacle.maxItems})`;
    case 'too-much-of-ca': {
      const { ca, maxShareOfCa } = obstacle;
      const all = ca.covered + ca.surviving;
      return `${ca.covered} of the ${all} certificates of CA ${printable(ca.caSn)} are more than maxShareOfCa (${maxShareOfCa})`;
    }
  }
}

function planless(end: Exclude<PlanEnd, { kind: 'planned' }>): RunEnd {
  switch (end.kind) {
    case 'obstructed':
      return { kind: 'skipped', reason: 'nothing to do: none of the certificates is registered any more' };
    case 'closed':
      return { kind: 'left' };
    case 'bad-rows':
      return failed('the listing has a certificate that cannot be in a manifest');
    case 'no-key':
      return failed(`${end.variable} is not set: account ${end.account} needs it for its key`);
    case 'halted':
      return failed(`account ${end.account} is halted (${end.code}: ${printable(end.message)})`);
    case 'refused':
      return failed(`a read of account ${end.account} was refused (${end.code}: ${printable(end.message)})`);
  }
}

function failed(reason: string): RunEnd {
  return { kind: 'failed', reason };
}
