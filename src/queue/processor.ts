import { DelayedError, WaitingError, type Job as BullJob } from 'bullmq';
import { codeOf, requestIdOf, type Answer } from '../core/answer.ts';
import { backoffMs, type BackoffPolicy } from '../core/backoff.ts';
import type { Certificate } from '../core/certificate.ts';
import {
  decide,
  provesAccess,
  reconcile,
  recordAttempt,
  type DecidePolicy,
  type HaltScope,
  type Noted,
  type Verdict,
} from '../core/decide.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Limiter } from '../limiter/contract.ts';
import { JOB_PRIORITY } from './contract.ts';
import { DepartureNote } from './departure-note.ts';
import { correct, endingsOf, expectEnded, type SettledEvent } from './endings.ts';
import { createGate, type GateParts, type UnownedEvent } from './gate.ts';
import type { HostWatch } from './host-watch.ts';
import type { Item, ItemLocator } from './item.ts';
import { JobWait } from './job-wait.ts';
import { KeyRenewal } from './key-renewal.ts';

/** The part of the limiter that the processor uses. */
export type Pacer = Pick<Limiter, 'take' | 'throttled' | 'halt' | 'lift' | 'probeAgain'>;

export interface RevocationClient {
  deleteDeviceCertificate(certificate: Certificate, notAfterMs: number): Promise<Answer>;
}

/** Everything the processor tells, one event each. */
export type ProcessorEvent =
  | {
      readonly kind: 'answer';
      readonly item: Item;
      readonly answer: Answer;
      readonly verdict: Verdict;
      readonly tookMs: number;
    }
  | SettledEvent
  | {
      readonly kind: 'halted';
      readonly scope: HaltScope;
      readonly instanceId: string;
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: 'lifted'; readonly instanceId: string }
  | UnownedEvent
  | { readonly kind: 'defect'; readonly jobId: string; readonly error: Error };

export interface ProcessorParts extends Pick<GateParts, 'states' | 'owns' | 'ownerOf'> {
  readonly ledger: Pick<Ledger, 'depart' | 'history' | 'settle'>;
  readonly locator: ItemLocator;
  readonly pacer: Pacer;
  readonly host: Pick<HostWatch, 'admit' | 'isHalted' | 'hear' | 'mayEndDead' | 'keeps'>;
  readonly client: RevocationClient;
  /** Calls that begin after it are signed with credentials fetched anew. */
  readonly refreshCredentials: () => void;
  readonly policy: DecidePolicy & BackoffPolicy;
  /** In [0, 1). */
  readonly random: () => number;
  readonly tell: (event: ProcessorEvent) => void;
}

/** A job whose batch has gone from Redis since it was found is looked at anew. */
const NO_BATCH_MS = 2_000;
const DEFECT_MS = 2_000;
/** Before an item is tried again whose token was refused, though it works for others. */
const TOKEN_MS = 2_000;
/** A job in hand when this host stops is ready for the other workers so soon; not at once, or this one would take it again while it stops. */
const HOST_HALTED_MS = 1_000;
/** Before an item is tried again that could only end dead, while the endpoint judges nothing. */
const UNJUDGED_MS = 2_000;
/** The least time before a throttled item is tried again. */
const THROTTLED_MS = 500;

/**
 * What a worker does with a job. It reads as the list in the design: find the item, wait for a slot, see that it is still to be done,
 * call, decide, and then exactly one of: settle it, or have the job wait.
 * @returns a function that ends normally when the item is settled, and otherwise throws what tells BullMQ that the job waits again
 */
export function createProcessor(parts: ProcessorParts): (job: BullJob, token?: string) => Promise<void> {
  const { ledger, locator, pacer, host, client, policy, tell } = parts;
  const renewal = new KeyRenewal(parts.refreshCredentials);
  const endings = endingsOf(ledger, tell);
  const passGate = createGate({ ...parts, endings });

  return async (job, token) => {
    const wait = new JobWait(job, token, parts.random);
    try {
      await run(job, wait);
    } catch (error) {
      if (isWait(error)) throw error;
      try {
        await recover(job, wait, error);
      } catch (again) {
        // Nothing can be written now. BullMQ must not fail the job: its item may be done. Left active, it is taken up when its lock has run out,
        // and the ledger tells whether its call may have left.
        throw isWait(again) ? again : new WaitingError();
      }
    }
  };

  async function run(job: BullJob, wait: JobWait): Promise<void> {
    const located = await locator.locate(job);
    await wait.remember(located);
    let { item } = located;
    if (located.kind === 'unusable') return endings.endDead(item, wait, located);
    const { batch, n, retries } = item;
    const note = new DepartureNote(() => ledger.depart(batch, n, retries, wait.run(located.item)));
    wait.note = note;
    for (;;) {
      note.renew();
      const allowed = await passGate(item, wait);
      if (allowed === undefined) return;
      item = allowed;
      const admitted = host.admit();
      if (admitted === 'halted') return wait.snooze(item, HOST_HALTED_MS);
      const urgent = job.opts.priority === undefined || job.opts.priority <= JOB_PRIORITY.urgent;
      const grant = await pacer.take(item.certificate.instanceId, urgent, () => void note.made());
      if (grant.kind === 'closed') return wait.giveBack(item);
      if (grant.kind === 'halted') return wait.snooze(item, grant.retryInMs);
      const { instanceId } = item.certificate;
      let noted: Item | undefined;
      try {
        if (host.isHalted && admitted !== 'probe') return await wait.snooze(item, HOST_HALTED_MS);
        noted = await passLastGate(item, wait, note);
      } finally {
        if (grant.probe && noted === undefined) await pacer.probeAgain(instanceId);
      }
      if (noted === undefined) return;

      item = noted;
      wait.item = item;
      wait.departed = true;
      const sentMs = performance.now();
      const answer = await client.deleteDeviceCertificate(item.certificate, grant.notAfterMs);
      const answeredMs = performance.now();
      const trust = renewal.hear(answer, sentMs, answeredMs);
      const before = item.attempt;
      let verdict = decide(answer, before, policy, trust);
      item = { ...item, attempt: recordAttempt(before, answer, verdict) };
      wait.item = item;
      host.hear(answer, sentMs);
      if (answer.kind !== 'not-sent') tell({ kind: 'answer', item, answer, verdict, tookMs: answeredMs - sentMs });
      if (grant.probe && provesAccess(answer) && (await pacer.lift(instanceId))) {
        tell({ kind: 'lifted', instanceId });
      }

      switch (verdict.kind) {
        case 'done':
        case 'dead': {
          if (verdict.kind === 'dead' && !(await host.mayEndDead(answer))) return wait.snooze(item, UNJUDGED_MS);
          const calls = await end(item, wait, answer, verdict);
          if (calls === 'ended') return;
          // Another run of the item has called meanwhile.
          verdict = decide(answer, reconcile(before, calls), policy, trust);
          return expectEnded(await end(correct(item, wait, calls), wait, answer, verdict));
        }
        case 'throttled':
          await pacer.throttled(verdict.retryAfterMs);
          return wait.snooze(item, Math.max(verdict.retryAfterMs, THROTTLED_MS));
        case 'halt':
          if (verdict.scope === 'account' && host.keeps(answer, instanceId)) continue;
          if (await pacer.halt(verdict.scope, instanceId, verdict.code, verdict.message)) {
            tell({ ...verdict, kind: 'halted', instanceId });
          }
          continue;
        case 'retry':
          if (verdict.again === 'backoff') {
            return wait.until(item, backoffMs(item.attempt.failures, policy, parts.random()));
          }
          if (verdict.again === 'later') return wait.snooze(item, TOKEN_MS);
          // It has told nothing yet.
          if (grant.probe) await pacer.probeAgain(instanceId);
          continue;
      }
    }
  }

  function end(item: Item, wait: JobWait, answer: Answer, verdict: Verdict): Promise<'ended' | Noted> {
    const requestId = requestIdOf(answer);
    if (verdict.kind === 'dead') return endings.settleDead(item, wait, verdict, requestId);
    if (verdict.kind !== 'done') throw new Error(`an item cannot end with the verdict ${verdict.kind}`);
    const { outcome, confirmedBy } = verdict;
    return endings.settle(item, wait, {
      outcome,
      code: codeOf(answer),
      requestId,
      byAbsence: confirmedBy === 'absence',
    });
  }

  /** @returns the item as it is now known, where its call may leave; undefined where it needs none any more */
  async function passLastGate(item: Item, wait: JobWait, note: DepartureNote): Promise<Item | undefined> {
    // Before the call: the next run of the item could not know of it otherwise, after a crash.
    const departure = await note.made();
    switch (departure) {
      case 'lock-lost':
        return wait.standAside();
      case 'no-batch':
        return wait.snooze(item, NO_BATCH_MS);
      case 'settled':
        return undefined;
      case 'none':
      case 'told':
      case 'untold':
        // The wait for the slot may have been long.
        return passGate(correct(item, wait, departure), wait);
    }
  }

  /** Something other than the API failed: Redis, or this program. The item's call may have been made, so it is looked at again later. */
  async function recover(job: BullJob, wait: JobWait, error: unknown): Promise<void> {
    const cause = error instanceof Error ? error : new Error(String(error));
    tell({ kind: 'defect', jobId: job.id ?? '', error: cause });
    if (wait.item === undefined) return wait.again(DEFECT_MS);
    const item = await wait.corrected(wait.item);
    const isRedis =
      cause.name === 'ReplyError' || cause.name === 'AbortError' || cause.name === 'MaxRetriesPerRequestError';
    const failures = item.attempt.failures + (isRedis ? 0 : 1);
    const effectUnknown = item.attempt.effectUnknown || wait.departed;
    const failed = { ...item, attempt: { ...item.attempt, failures, effectUnknown } };
    if (failures >= policy.attempts)
      return endings.endDead(failed, wait, { code: 'worker-defect', message: cause.message });
    return wait.until(failed, DEFECT_MS);
  }
}

/** What tells BullMQ that the job waits again. */
function isWait(error: unknown): boolean {
  return error instanceof DelayedError || error instanceof WaitingError;
}
