import type { Fault, FaultPlan } from './fault-plan.ts';
import type { Operation } from './request.ts';
import { hashToUnit } from './seeded.ts';

interface ArmedFault {
  readonly fault: Fault;
  readonly meets: (deviceSn: string) => boolean;
  readonly operations: ReadonlySet<Operation>;
  readonly times: number;
  /** How often each certificate met it. Only met certificates are kept. */
  readonly met: Map<string, number>;
}

/** Those that change a device certificate. */
const CHANGES: ReadonlySet<Operation> = new Set([
  'DeleteDeviceCertificate',
  'InactivateDeviceCertificate',
  'ActiveDeviceCertificate',
]);

/** Draws the fault of a call from a plan. */
export class FaultInjector {
  readonly #armed: readonly ArmedFault[];

  constructor(plan: FaultPlan) {
    this.#armed = plan.faults.map((fault, index) => ({
      fault,
      meets: targetOf(fault, plan.seed, index),
      operations: fault.operations === undefined ? CHANGES : new Set(fault.operations),
      times: fault.times === 'always' ? Number.POSITIVE_INFINITY : (fault.times ?? 1),
      met: new Map(),
    }));
  }

  /**
   * The first fault of the plan that has this operation and this certificate and is not used up; it is used once by this.
   * @param key - what it was met by: from `certificateKey`, for a call for a certificate
   */
  draw(operation: Operation, deviceSn: string, key: string): Fault | undefined {
    for (const { fault, meets, operations, times, met } of this.#armed) {
      if (!operations.has(operation) || !meets(deviceSn)) continue;
      if (times === Number.POSITIVE_INFINITY) return fault;
      const used = met.get(key) ?? 0;
      if (used >= times) continue;
      met.set(key, used + 1);
      return fault;
    }
    return undefined;
  }
}

/** Depends on the seed, the fault's place in the plan and the serial number, and on nothing that happens in a run. */
function targetOf(fault: Fault, seed: number, index: number): (deviceSn: string) => boolean {
  if (fault.deviceSns !== undefined) {
    const named = new Set(fault.deviceSns);
    return (deviceSn) => named.has(deviceSn);
  }
  const share = fault.share ?? 1;
  return (deviceSn) => hashToUnit(`${seed}:${index}:${deviceSn}`) < share;
}
