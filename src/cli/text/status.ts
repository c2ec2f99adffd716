import { count, duration, groupDigits } from '../../core/counting.ts';
import { isAwaiting, type BatchDetail } from '../../app/overview.ts';
import type { LoweredAccount } from '../../app/pace.ts';
import { UNREACHABLE, type AnyHalt, type BatchSnapshot, type OverviewSnapshot } from '../../app/status.ts';
import type { Stop } from '../../app/stop.ts';
import { printable } from '../../core/printable.ts';
import type { RetireDetails } from '../../core/retirement.ts';
import { endsOf } from './action.ts';
import { describeTimeSpan } from '../../core/time-span.ts';
import { cut, wrap, wrapParts } from './fit.ts';

/** Of the names of a batch's rows, at least. */
const NAME_COLUMNS = 16;
const INDENT = '  ';
/** The width of figures where the reader's is not known. */
const USUAL_COLUMNS = 80;

/** The kill switch, louder than anything else. */
export function describeStopped({ since, requestedBy, reason }: Stop): string {
  const why = reason === null ? '' : `: ${printable(reason).replace(/[.\s]+$/, '')}`;
  return `STOPPED all calls of all accounts since ${new Date(since).toISOString()}, by ${printable(requestedBy)}${why}. Items wait, and nothing is lost. certsweep start --all lets calls continue.`;
}

/** A pace that goes back by itself. */
export function describeLowered({ account, qps, untilMs }: LoweredAccount): string {
  return `Account ${account}: pace lowered to ${qps} calls a second until ${new Date(untilMs).toISOString()}. certsweep pace ${account} --reset ends that.`;
}

/** A halt, loud and with the next step. */
export function describeHalt(halt: AnyHalt): string {
  const since = new Date(halt.since).toISOString();
  const why = `${printable(halt.code)}: ${printable(halt.message).replace(/[.\s]+$/, '')}`;
  if ('host' in halt) {
    const where = `account ${halt.account} on ${printable(halt.host)} alone (process ${halt.pid})`;
    const probe = halt.code === UNREACHABLE ? 'a read every 5 s' : 'a probe every 30 s';
    return `HALTED ${where} since ${since}: ${why}. Other workers take its items. Fix the cause on that host (certsweep doctor helps to find it); ${probe} then lifts the halt.`;
  }
  const where =
    halt.instanceId === undefined
      ? `account ${halt.account}`
      : `instance ${printable(halt.instanceId)} of account ${halt.account}`;
  return `HALTED ${where} since ${since}: ${why}. Its items wait. Fix the cause (certsweep doctor helps to find it); a probe every 30 s then lifts the halt.`;
}

/** A batch that nobody has agreed to yet: nothing of it runs. */
function describeAwaiting({ batch, action, retire, awaitsApproval }: BatchDetail): string {
  if (awaitsApproval === undefined) return '';
  const { certificates, submittedBy } = awaitsApproval;
  const what = `${action} ${count(certificates, 'certificate')}${retire === undefined ? '' : ` (${describeRetire(retire)})`}`;
  return `AWAITS APPROVAL batch ${batch}, to ${what}, submitted by ${printable(submittedBy ?? 'somebody without a token')}. It runs once somebody else approves it: certsweep approve ${batch} shows how.`;
}

/** How a batch is to retire its certificates. */
export function describeRetire({ soakMs, deviceDestroyed }: RetireDetails): string {
  return `soak ${describeTimeSpan(soakMs)}${deviceDestroyed ? ', deleted also while their CA is active' : ''}`;
}

/** The batch, below what stands in its way; for a terminal of that many columns, or for a pipe, where sentences stay in one line. */
export function describeBatchNow(snapshot: BatchSnapshot, columns?: number): string {
  const { detail, stop, halts, lanesLost, lowered, unattended } = snapshot;
  const lost = `Redis has lost which instances batch ${detail.batch} has: a worker reads them again from its chunks.`;
  const problems = [
    ...(stop === undefined ? [] : [describeStopped(stop)]),
    ...halts.map(describeHalt),
    ...(isAwaiting(detail) ? [describeAwaiting(detail)] : []),
    ...(lanesLost ? [lost] : []),
    ...unattended.map(describeUnattended),
    ...lowered.map(describeLowered),
  ];
  return [...fitted(problems, columns), ...describeBatch(detail, columns)].join('\n');
}

/** An account that has no worker. */
export function describeUnattended(account: string): string {
  return `No worker is running for account ${account}. Start certsweep worker.`;
}

/** The batch as lines of `name  value`. */
function describeBatch(detail: BatchDetail, columns: number | undefined): string[] {
  const { etaSeconds, confirmedByAbsence } = detail;
  const rows: [string, string | number | undefined][] = [
    ['batch', detail.batch],
    ['action', detail.action],
    ['state', stateOf(detail)],
    ['phase', detail.phase],
    ['retires', detail.retire === undefined ? undefined : describeRetire(detail.retire)],
    ['soaks until', detail.soakUntil],
    ['priority', detail.priority === 'bulk' ? undefined : detail.priority],
    ['paused because', detail.pausedBecause],
    ['submitted', detail.submittedAt],
    ['completed', detail.completedAt],
    ['requested by', detail.requestedBy],
    ['reason', detail.reason],
    ['accepted', detail.accepted],
    ...endsOf(detail.action, detail).flatMap(({ outcome, label, items }): [string, number | undefined][] => [
      [label, items],
      ...(outcome === 'revoked' && confirmedByAbsence > 0
        ? [['  by absence', confirmedByAbsence] satisfies [string, number]]
        : []),
    ]),
    ['left inactive', leftInactive(detail)],
    ['pending', detail.pending],
    ['forgotten', detail.forgotten === 0 ? undefined : detail.forgotten],
    ['rate', moves(detail) && etaSeconds !== null ? `${detail.ratePerSecond}/s` : undefined],
    ['ETA', !moves(detail) ? undefined : etaSeconds === null ? 'nothing moves' : duration(etaSeconds)],
  ];
  const shown = rows.filter(([, value]) => value !== undefined && value !== '');
  const nameColumns = Math.max(NAME_COLUMNS, ...shown.map(([name]) => name.length + 2));
  return shown.flatMap(([name, value]) => {
    const text = typeof value === 'number' ? groupDigits(value) : printable(value ?? '');
    const [first = '', ...more] = columns === undefined ? [text] : wrap(text, columns - 1 - nameColumns);
    return [name.padEnd(nameColumns) + first, ...more.map((line) => ' '.repeat(nameColumns) + line)];
  });
}

/** Why what was to be deleted was not. */
function leftInactive({ action, state, inactivated = 0, alreadyInactive = 0 }: BatchDetail): string | undefined {
  if (action !== 'retire' || inactivated + alreadyInactive === 0) return undefined;
  return state === 'cancelled'
    ? 'the batch was cancelled before it could delete'
    : 'their CA is active, so they were not deleted';
}

/** Everything at a glance, each batch with its figures below its name; columns as for `describeBatchNow`. */
export function describeOverview(
  { batches, stop, halts, lowered }: Omit<OverviewSnapshot, 'condition'>,
  where: string,
  columns?: number,
): string {
  const none = `No batch in ${where}. certsweep submit <manifest> makes one.`;
  return [
    ...fitted(stop === undefined ? [] : [describeStopped(stop)], columns),
    ...fitted(halts.map(describeHalt), columns),
    ...fitted(batches.filter(isAwaiting).map(describeAwaiting), columns),
    ...fitted(lowered.map(describeLowered), columns),
    ...(batches.length === 0 ? fitted([none], columns) : batches.flatMap((batch) => glance(batch, columns))),
  ].join('\n');
}

function glance(detail: BatchDetail, columns: number | undefined): string[] {
  const { batch, action, phase, pending, soakUntil } = detail;
  const accepted = isAwaiting(detail) ? (detail.awaitsApproval?.certificates ?? 0) : detail.accepted;
  const why = detail.pausedBecause === undefined ? '' : `: ${printable(detail.pausedBecause)}`;
  const where = phase === undefined ? '' : `, ${phase}${soakUntil === undefined ? '' : ` until ${soakUntil}`}`;
  const head = `${printable(batch)}  ${action === 'delete' ? '' : `${action}  `}${stateOf(detail)}${where}${why}`;
  const figures = [
    `${groupDigits(detail.accepted - pending)} of ${groupDigits(accepted)}`,
    ...endsOf(action, detail)
      .filter(({ outcome, items }) => outcome !== 'cancelled' || items > 0)
      .map(({ label, items }) => `${label} ${groupDigits(items)}`),
    ...(pending > 0 ? [`pending ${groupDigits(pending)}`] : []),
    ...(moves(detail) ? paceOf(detail) : []),
  ];
  const indented = wrapParts(figures, (columns ?? USUAL_COLUMNS) - 1 - INDENT.length).map((line) => INDENT + line);
  return [columns === undefined ? head : cut(head, columns - 1), ...indented];
}

function paceOf({ ratePerSecond, etaSeconds }: BatchDetail): string[] {
  if (etaSeconds === null) return ['nothing moves'];
  return [`${Math.round(ratePerSecond)}/s`, `ETA ${duration(etaSeconds)}`];
}

/** Sentences, broken where they go to a terminal. */
function fitted(sentences: readonly string[], columns: number | undefined): readonly string[] {
  return columns === undefined ? sentences : sentences.flatMap((text) => wrap(text, columns - 1, INDENT));
}

function stateOf(detail: BatchDetail): string {
  return isAwaiting(detail) ? 'planned, awaits approval' : detail.state;
}

/** Whether a rate says anything of what is to come: that of a paused batch is of the calls before the pause. */
function moves({ state, phase, pending }: BatchDetail): boolean {
  return state === 'running' && phase !== 'soaking' && pending > 0;
}
