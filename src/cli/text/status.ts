import type { BatchDetail, Overview } from '../../app/overview.ts';
import { UNREACHABLE, type AnyHalt, type BatchLook } from '../../app/status.ts';
import { printable } from '../../core/printable.ts';
import { duration, table } from './terminal.ts';

/** A halt, loud and with the next step. */
export function describeHalt(halt: AnyHalt): string {
  const since = new Date(halt.since).toISOString();
  const why = `${printable(halt.code)}: ${printable(halt.message).replace(/[.\s]+$/, '')}`;
  if ('host' in halt) {
    const where = `account ${halt.account} on ${printable(halt.host)} alone (process ${halt.pid})`;
    const probe = halt.code === UNREACHABLE ? 'a read every 5 s' : 'a probe every 30 s';
    return `HALTED ${where} since ${since}: ${why}. Its items wait for other workers, or for the end of the halt; correct the cause, and ${probe} lifts it. certsweep doctor on that host helps to find it.`;
  }
  const where =
    halt.instanceId === undefined
      ? `account ${halt.account}`
      : `instance ${printable(halt.instanceId)} of account ${halt.account}`;
  return `HALTED ${where} since ${since}: ${why}. Its items wait; mend the cause, and a probe every 30 s lifts the halt. certsweep doctor helps to find it.`;
}

/** The batch, below what stands in its way. */
export function describeLook({ detail, halts, lanesLost, unattended }: BatchLook): string {
  const lost = `Redis has lost which instances batch ${detail.batch} holds: a worker reads its chunks again.`;
  return [
    ...halts.map(describeHalt),
    ...(lanesLost ? [lost] : []),
    ...unattended.map(describeUnattended),
    describeBatch(detail),
  ].join('\n');
}

/** An account that has no worker. */
export function describeUnattended(account: string): string {
  return `No worker of account ${account} is to be seen: nothing of it is revoked until certsweep worker runs.`;
}

/** The batch as lines of `name  value`. */
function describeBatch(detail: BatchDetail): string {
  const { etaSeconds, confirmedByAbsence } = detail;
  const rows: [string, string | number | undefined][] = [
    ['batch', detail.batch],
    ['state', detail.state],
    ['paused because', detail.pausedBecause],
    ['submitted', detail.submittedAt],
    ['completed', detail.completedAt],
    ['requested by', detail.requestedBy],
    ['reason', detail.reason],
    ['accepted', detail.accepted],
    ['revoked', detail.revoked],
    ['  by absence', confirmedByAbsence === 0 ? undefined : confirmedByAbsence],
    ['already gone', detail.alreadyGone],
    ['dead', detail.dead],
    ['cancelled', detail.cancelled],
    ['pending', detail.pending],
    ['rate', moves(detail) ? `${detail.ratePerSecond}/s` : undefined],
    ['ETA', !moves(detail) ? undefined : etaSeconds === null ? 'nothing moves' : duration(etaSeconds)],
  ];
  return rows
    .filter(([, value]) => value !== undefined && value !== '')
    .map(
      ([name, value]) =>
        `${name.padEnd(15)} ${typeof value === 'number' ? value.toLocaleString('en-US') : printable(value ?? '')}`,
    )
    .join('\n');
}

export function describeOverview({ batches, halts }: Overview, where: string): string {
  if (batches.length === 0)
    return [...halts.map(describeHalt), `No batch in ${where}. certsweep submit <manifest> makes one.`].join('\n');
  const head = ['batch', 'state', 'accepted', 'revoked', 'gone', 'dead', 'cancelled', 'pending', 'rate', 'ETA'];
  const rows = batches.map((b) => [
    b.batch,
    b.state,
    b.accepted,
    b.revoked,
    b.alreadyGone,
    b.dead,
    b.cancelled,
    b.pending,
    moves(b) ? `${Math.round(b.ratePerSecond)}/s` : '',
    !moves(b) || b.etaSeconds === null ? '' : duration(b.etaSeconds),
  ]);
  return [...halts.map(describeHalt), table(head, rows)].join('\n');
}

/** Whether a rate says anything of what is to come: that of a paused batch is of the calls before the pause. */
function moves({ state, pending }: BatchDetail): boolean {
  return state === 'running' && pending > 0;
}
