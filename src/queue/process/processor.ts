import { codeOf, requestIdOf, type Answer } from '../../core/answer.ts';
import { backoffMs, type BackoffPolicy } from '../../core/backoff.ts';
import {
  FIRST_ATTEMPT,
  recordAttempt,
  type Attempt,
  type DecidePolicy,
  type HaltScope,
  type Verdict,
} from '../../core/decide.ts';
import type { CallToNote, CallVerdict } from '../../ledger/call-notes.ts';
import type { CallReport, Limiter, SlotGrant } from '../../limiter/contract.ts';
import { callOf, released, type Course } from './course.ts';
import type { CertificateRead, DeletionGate } from './deletion-gate.ts';
import type { HostWatch } from './host-watch.ts';
import { ItemCalls, type RevocationClient } from './item-calls.ts';
import { dead, PAUSED_MS, DEFECT_MS, TOKEN_MS, UNJUDGED_MS, UNREAD_MS, THROTTLED_MS, reportOf } from './endings.ts';
import type { Disposition, Item } from './item.ts';
import { KeyRenewal } from './key-renewal.ts';

/** The part of the limiter that the processor uses. */
export type Pacer = Pick<Limiter<CallToNote, CallVerdict>, 'take'>;

/** Everything the processor tells, one event each. */
export type ProcessorEvent =
  | {
      readonly kind: 'answer';
      readonly item: Item;
      readonly attempt: Attempt;
      readonly answer: Answer;
      readonly verdict: Verdict;
      readonly tookMs: number;
    }
  | {
      readonly kind: 'halted';
      readonly scope: HaltScope;
      readonly instanceId: string;
      readonly code: string;
      readonly message: string;
    }
  /** The call was not sent, since its slot had ended by then. */
  | { readonly kind: 'call-late' }
  | { readonly kind: 'lifted'; readonly instanceId: string }
  | { readonly kind: 'defect'; readonly item: Item; readonly error: Error };

export interface ProcessorParts {
  readonly pacer: Pacer;
  readonly host: Pick<HostWatch, 'admit' | 'isHalted' | 'hear' | 'hearRead' | 'mayEndDead' | 'keeps'>;
  readonly client: RevocationClient;
  readonly gate: Pick<DeletionGate, 'pass'>;
  /** Calls that begin after it are signed with fresh credentials. */
  readonly refreshCredentials: () => void;
  readonly policy: DecidePolicy & BackoffPolicy;
  /** In [0, 1). */
  readonly random: () => number;
  readonly tell: (event: ProcessorEvent) => void;
}

/**
 * What a worker does with an item. It reads as the list in the design: admit, slot, call, decide, and then a disposition as data. It throws nothing.
 */
export function createProcessor(parts: ProcessorParts): (item: Item) => Promise<Disposition> {
  const { pacer, host, gate, policy, random, tell } = parts;
  const calls = new ItemCalls({ ...parts, renewal: new KeyRenewal(parts.refreshCredentials) });

  return async (item) => {
    const course: Course = {};
    try {
      return await run(item, course);
    } catch (error) {
      return recover(item, course, error instanceof Error ? error : new Error(String(error)));
    }
  };

  async function run(item: Item, course: Course): Promise<Disposition> {
    const { instanceId } = item.certificate;
    for (;;) {
      const admitted = host.admit();
      if (admitted === 'halted') return released(course);
      const grant = await pacer.take({ instanceId, isUrgent: item.isUrgent, call: callOf(item, course) });
      switch (grant.kind) {
        case 'closed':
          return released(course);
        case 'halted':
          return snoozed(course, grant.retryInMs);
        case 'refused':
          return refused(course, grant.verdict);
        case 'slot': {
          if (host.isHalted && admitted !== 'probe') {
            await grant.report({ kind: 'void' });
            return released(course);
          }
          const next = await call(item, course, grant);
          if (next !== 'again') return next;
        }
      }
    }
  }

  async function call(item: Item, course: Course, grant: SlotGrant<CallVerdict>): Promise<Disposition | 'again'> {
    const { instanceId } = item.certificate;
    const noted = grant.verdict?.kind === 'go' ? grant.verdict.attempt : FIRST_ATTEMPT;
    const before = course.attempt ?? noted;
    const readsFirst = item.isRetiring === true && item.action === 'delete' && course.mayDelete !== true;
    course.mayDelete = false;
    course.attempt = { ...before, effectUnknown: before.effectUnknown || !readsFirst };
    // A read is no probe, since it needs another permission.
    if (grant.isProbe) course.puzzle = undefined;
    const { puzzle } = course;
    const { answer, verdict, kept, sentMs, answeredMs } = await (readsFirst
      ? calls.readBeforeDeletion(item, before, grant.notAfterMs)
      : puzzle === undefined
        ? calls.change(item, before, grant.notAfterMs)
        : calls.readAfter(item, puzzle, before, grant.notAfterMs));
    const recorded = recordAttempt(before, answer, verdict);
    // A read has deleted nothing, however it ended.
    const attempt = readsFirst ? { ...recorded, effectUnknown: before.effectUnknown } : recorded;
    course.attempt = attempt;
    if (answer.kind !== 'not-sent')
      tell({ kind: 'answer', item, attempt, answer, verdict, tookMs: answeredMs - sentMs });
    else if (answer.reason === 'slot-void') tell({ kind: 'call-late' });
    const isOurs = verdict.kind === 'halt' && verdict.scope === 'account' && host.keeps(answer, instanceId);
    const report = reportOf(answer, verdict, isOurs);
    // Most answers change nothing for others; those that do are reported before the item continues.
    if (report.kind !== 'nothing' && (report.kind !== 'proved' || grant.isProbe))
      await tellReport(grant, report, instanceId);

    switch (verdict.kind) {
      case 'done':
        return {
          kind: 'settled',
          outcome: verdict.outcome,
          code: codeOf(kept),
          message: '',
          requestId: requestIdOf(kept),
          attempt,
          isUncalled: false,
          byAbsence: verdict.confirmedBy === 'absence',
        };
      case 'dead':
        if (!(await host.mayEndDead(answer))) return snoozed(course, UNJUDGED_MS);
        return dead(attempt, verdict, requestIdOf(kept), false);
      case 'inactive':
        return passGate(item, course, attempt, { ...verdict, requestId: requestIdOf(kept) });
      case 'unclear':
        if (answer.kind === 'refused') course.puzzle = { answer, mayBeOurs: before.effectUnknown };
        return 'again';
      case 'throttled':
        return snoozed(course, Math.max(verdict.retryAfterMs, THROTTLED_MS));
      case 'halt':
        return 'again';
      case 'retry':
        if (verdict.again === 'backoff')
          return { kind: 'wait', delayMs: backoffMs(attempt.failures, policy, random()), attempt };
        return verdict.again === 'later' ? snoozed(course, TOKEN_MS) : 'again';
    }
  }

  async function passGate(
    item: Item,
    course: Course,
    attempt: Attempt,
    read: CertificateRead,
  ): Promise<Disposition | 'again'> {
    const passed = await gate.pass(item, attempt, read);
    switch (passed.kind) {
      case 'open':
        course.mayDelete = true;
        return 'again';
      case 'inactive':
        return {
          ...passed.end,
          kind: 'settled',
          outcome: 'inactivated',
          message: '',
          isUncalled: false,
          byAbsence: false,
        };
      case 'later':
        return snoozed(course, UNREAD_MS);
      case 'failed':
        return { kind: 'wait', delayMs: backoffMs(passed.attempt.failures, policy, random()), attempt: passed.attempt };
      case 'dead':
        if (!(await host.mayEndDead(passed.answer))) return snoozed(course, UNJUDGED_MS);
        return dead(attempt, passed.verdict, requestIdOf(passed.answer), false);
    }
  }

  async function tellReport(grant: SlotGrant<CallVerdict>, report: CallReport, instanceId: string): Promise<void> {
    const changed = await grant.report(report);
    if (changed === 'lifted') tell({ kind: 'lifted', instanceId });
    if (changed === 'halted' && report.kind === 'halt') tell({ ...report, kind: 'halted', instanceId });
  }

  /** The item waits this long, and up to half as long again, so that items do not come back all at once. */
  function snoozed({ attempt }: Course, ms: number): Disposition {
    return { kind: 'wait', delayMs: ms * (1 + random() / 2), ...(attempt !== undefined && { attempt }) };
  }

  /** The ledger does not let the call be made. */
  function refused(course: Course, verdict: CallVerdict): Disposition {
    switch (verdict.kind) {
      case 'paused':
        return snoozed(course, PAUSED_MS);
      case 'cancelled': {
        const { attempt = FIRST_ATTEMPT } = course;
        const isUncalled = course.attempt === undefined;
        const how = { code: '', message: '', requestId: '', byAbsence: false };
        return { kind: 'settled', outcome: 'cancelled', ...how, attempt, isUncalled };
      }
      case 'crashed': {
        const message = `its worker ended without a report again and again (${verdict.attempt.calls} calls answered): find out what stops workers, then retry the dead letter`;
        return dead(verdict.attempt, { code: 'stalled-too-often', message }, '', true);
      }
      case 'go':
      case 'settled':
      case 'left':
      case 'busy':
      case 'lock-lost':
      case 'no-batch':
        return { kind: 'abandon' };
    }
  }

  /** A defect of this program. The item's call may have been made, so it is looked at again later. */
  function recover(item: Item, { attempt }: Course, error: Error): Disposition {
    tell({ kind: 'defect', item, error });
    if (attempt === undefined) return { kind: 'wait', delayMs: DEFECT_MS };
    const failed = { ...attempt, failures: attempt.failures + 1 };
    if (failed.failures >= policy.attempts)
      return dead(failed, { code: 'worker-defect', message: error.message }, '', false);
    return { kind: 'wait', delayMs: DEFECT_MS, attempt: failed };
  }
}
