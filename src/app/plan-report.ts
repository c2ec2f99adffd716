import type { PlannedAction } from '../core/action.ts';
import type { CaShare, ClassCounts } from '../core/plan.ts';
import type { InstanceShare } from '../queue/submit/manifest-summary.ts';

/** What a plan says. */
export interface PlanReport {
  /** The id of the plan file; null where none was written. */
  readonly plan: string | null;
  readonly action: PlannedAction;
  /** Those in the plan: registered as they were named. */
  readonly certificates: number;
  readonly classes: ClassCounts;
  readonly cas: readonly CaShare[];
  readonly instances: readonly InstanceShare[];
  /** Calls that the plan makes, none of them repeated. */
  readonly calls: number;
  /** In words. */
  readonly warnings: readonly string[];
  /** Of a selection: names and PEMs that no certificate has, and PEMs whose number several have. */
  readonly notFound: readonly string[];
  readonly ambiguous: readonly string[];
}

/** What a plan says to programs, which depend on its names. */
export interface PublishedPlan extends Pick<
  PlanReport,
  'plan' | 'action' | 'certificates' | 'classes' | 'calls' | 'warnings'
> {
  readonly cas: readonly Omit<CaShare, 'classes'>[];
}

export function publishedPlan({
  plan,
  action,
  certificates,
  classes,
  cas,
  calls,
  warnings,
}: PlanReport): PublishedPlan {
  const shares = cas.map(({ instanceId, caSn, status, covered, surviving }) => ({
    instanceId,
    caSn,
    status,
    covered,
    surviving,
  }));
  return { plan, action, certificates, classes, cas: shares, calls, warnings };
}
