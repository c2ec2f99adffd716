import { hostname } from 'node:os';
import { DEFAULT_ACTION } from '../../core/action.ts';
import { codeOf } from '../../core/answer.ts';
import { describeStop } from '../../limiter/halts/stop.ts';
import type { EventLog, LogEvent } from '../../runtime/logger.ts';
import { describeRedisError } from '../../runtime/redis/describe-error.ts';
import type { WorkerEvent } from './account-worker.ts';

/** Writes what a worker tells as structured lines. `settled` lines are the audit trail, and no level hides them. */
export function logWorkerEvent(log: EventLog, account: string, event: WorkerEvent): void {
  const record = log.record ?? ((line: LogEvent): void => log.info(line));
  switch (event.kind) {
    // Its slot is counted among the unused ones.
    case 'call-late':
      return;
    case 'answer': {
      // The way of a call that worked is in its settled line.
      if (event.verdict.kind === 'done') return;
      const { attempt } = event;
      const { batch, n, action } = event.item;
      const fields = {
        account,
        batch,
        n,
        ...(action !== DEFAULT_ACTION && { action }),
        attempts: attempt.calls,
        code: codeOf(event.answer),
        verdict: event.verdict.kind,
      };
      log.debug({ event: 'answer', ...fields, tookMs: Math.round(event.tookMs) });
      return;
    }
    case 'settled': {
      const { outcome, code, requestId, calls, byAbsence } = event;
      const { batch, n, action, certificate } = event.item;
      // Undefined but for direct items, and then left out.
      const { requestedBy, reason } = event.item;
      const fields = {
        account,
        batch,
        n,
        ...(action !== DEFAULT_ACTION && { action }),
        ...certificate,
        outcome,
        code,
        requestId,
        attempts: calls,
        requestedBy,
        reason,
      };
      if (event.how === 'unknown') {
        const message = 'Redis no longer knows the item: this line is the only record of its outcome';
        log.error({ event: 'settled-unrecorded', ...fields, message });
        return;
      }
      record({ event: 'settled', ...fields, ...(byAbsence && { confirmedByAbsence: true }) });
      return;
    }
    case 'marked': {
      const { code, requestId, calls } = event;
      const { batch, n, certificate } = event.item;
      const fields = { account, batch, n, action: 'retire', ...certificate, code, requestId, attempts: calls };
      record({ event: 'marked', ...fields });
      return;
    }
    case 'phase': {
      const { batch, phase } = event;
      log.info({ event: 'batch-phase', account, batch, phase });
      return;
    }
    case 'item-cancelled': {
      const { batch, n, action, certificate, outcome } = event;
      const of = action === DEFAULT_ACTION ? {} : { action };
      const fields = {
        account,
        batch,
        n,
        ...of,
        ...certificate,
        outcome,
        code: '',
        requestId: '',
        attempts: 0,
      };
      record({ event: 'settled', ...fields });
      return;
    }
    case 'drained':
      log.info({ event: 'batch-completed', account, batch: event.batch });
      return;
    case 'halted': {
      const { scope, instanceId, code, message } = event;
      const where = scope === 'account' ? `account ${account}` : `instance ${instanceId}`;
      log.error({
        event: 'halted',
        account,
        scope,
        instanceId,
        code,
        message: `${where} is halted, its jobs wait: ${code}: ${message}`,
      });
      return;
    }
    case 'lifted':
      log.warn({
        event: 'lifted',
        account,
        instanceId: event.instanceId,
        message: 'the probe succeeded: the halt is over',
      });
      return;
    case 'stopped': {
      const { since, requestedBy, reason } = event.stop;
      const message = describeStop(event.stop);
      log.error({ event: 'stopped', account, since, requestedBy, reason, message });
      return;
    }
    case 'started':
      log.warn({ event: 'started', account, message: 'calls may be made again: the stop of all calls is over' });
      return;
    case 'unowned': {
      const { instanceId } = event;
      const message = `jobs wait, since no account of this configuration has the instance ${instanceId}: add it under accounts.<name>.instances`;
      log.warn({ event: 'unowned', account, instanceId, message });
      return;
    }
    case 'host-halted': {
      const { code, message } = event;
      const host = hostname();
      const text = `account ${account} is halted for this host (${host}) alone, its jobs wait for other workers, or until the halt is over: ${code}: ${message}`;
      log.error({ event: 'halted', account, scope: 'host', host, code, message: text });
      return;
    }
    case 'host-lifted':
      log.warn({
        event: 'lifted',
        account,
        scope: 'host',
        host: hostname(),
        code: event.code,
        message: 'the endpoint answers: the halt of this host is over',
      });
      return;
    case 'batch-paused': {
      const { batch, settled, dead } = event;
      const message = `too many of the settled items are dead: see certsweep dead list --batch ${batch}, then certsweep resume ${batch}`;
      log.error({ event: 'batch-paused', account, batch, settled, dead, message });
      return;
    }
    case 'limit-paused': {
      const { batch } = event;
      const message = `more single certificates came within an hour than direct.maxPerHour allows: find out who adds them, then certsweep resume ${batch}; the rest waits in the queue`;
      log.error({ event: 'limit-paused', account, batch, message });
      return;
    }
    case 'jobs-lost':
      log.error({
        event: 'jobs-lost',
        account,
        batch: event.batch,
        pending: event.pending,
        message: 'Redis lost jobs; they are fed again',
      });
      return;
    case 'lanes-lost': {
      const { batch, key } = event;
      const message =
        key === 'lanes'
          ? 'Redis lost which chunks hold the items of an instance: they are read again, and the batch continues; find out why Redis loses keys'
          : 'Redis lost how far the batch was fed: it is fed from the start again, and nothing is done twice; find out why Redis loses keys';
      log.error({ event: 'lanes-lost', account, batch, key, message });
      return;
    }
    case 'swept':
      log.warn({ event: 'swept', account, jobs: event.jobs, message: 'failed jobs became dead letters' });
      return;
    case 'silent':
      log.error({
        event: 'silent',
        account,
        again: event.again,
        message: 'jobs are ready and none is taken: the worker is recreated',
      });
      return;
    case 'limiter':
      log.warn({ event: event.notice.kind, account, ...event.notice });
      return;
    case 'defect':
      log.error({
        event: 'defect',
        account,
        batch: event.item.batch,
        n: event.item.n,
        message: describeRedisError(event.error),
      });
      return;
    case 'trouble':
      log.error({ event: 'trouble', account, during: event.during, message: describeRedisError(event.error) });
      return;
  }
}
