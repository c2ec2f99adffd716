import { createHash } from 'node:crypto';
import type { PlannedAction } from '../core/action.ts';
import type { Certificate } from '../core/certificate.ts';
import { CaTally, coveredBy, isPlanned, type CaShare, type ClassCounts } from '../core/plan.ts';
import { warningsOf, type InventoryNotes, type PlanWarning } from '../core/plan-warning.ts';
import type { RegisteredStatus } from '../core/registered.ts';
import { planLine } from './plan-file.ts';
import type { RegisteredCounts } from './registered-counts.ts';
import type { Wanted } from './wanted.ts';

/** What a plan would do, before anybody has said whether it may. */
export interface Drawing {
  /** Those that are called for. */
  readonly certificates: number;
  readonly classes: ClassCounts;
  readonly cas: readonly CaShare[];
  /** Certificates that are called for, by instance. */
  readonly byInstance: ReadonlyMap<string, number>;
  readonly warnings: readonly PlanWarning[];
  /** Of the lines of the plan file that follow its header. */
  readonly sha256: string;
}

/** Holds what is wanted against what is registered. */
export function drawPlan(
  action: PlannedAction,
  wanted: Wanted,
  registered: RegisteredCounts,
  caStatuses: ReadonlyMap<string, ReadonlyMap<string, RegisteredStatus>>,
  notes: InventoryNotes,
): Drawing {
  const tally = new CaTally();
  const byInstance = new Map<string, number>();
  const hash = createHash('sha256');
  for (const { certificate, as } of wanted.classified()) {
    tally.add(certificate, as);
    if (!isPlanned(as)) continue;
    hash.update(planLine(certificate));
    byInstance.set(certificate.instanceId, (byInstance.get(certificate.instanceId) ?? 0) + 1);
  }
  const { classes } = tally;
  const cas = tally.shares(
    (instanceId, caSn) => registered.of(instanceId, caSn),
    (instanceId, caSn) => caStatuses.get(instanceId)?.get(caSn) ?? 'absent',
  );
  return {
    certificates: coveredBy(classes),
    classes,
    cas,
    byInstance,
    warnings: warningsOf(action, cas, classes, notes),
    sha256: hash.digest('hex'),
  };
}

/** The certificates that are called for, in their order. */
export function* plannedOf(wanted: Wanted): Generator<Certificate, void, undefined> {
  for (const { certificate, as } of wanted.classified()) if (isPlanned(as)) yield certificate;
}
