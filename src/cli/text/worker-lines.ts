import { count, duration, groupDigits } from '../../core/counting.ts';
import type { AnyHalt } from '../../app/status.ts';
import type { PausedBatch, WorkSnapshot } from '../../app/work.ts';
import { OUTCOMES, type Outcome } from '../../core/batch.ts';
import { labelOf } from './action.ts';
import { cut, wrap, wrapParts } from './fit.ts';
import { clock, type Line, type Size } from './frame.ts';
import { printable } from '../../core/printable.ts';
import { describeStopped } from './status.ts';
import { table } from './terminal.ts';

/** One account as its worker sees it now. */
export interface AccountNow {
  readonly account: string;
  /** Calls answered in the last seconds, a second. */
  readonly rate: number;
  /** Calls a second at most, over all workers. */
  readonly paceQps: number;
  readonly inHand: number;
  /** Items, by outcome; absent if none. */
  readonly settled: Readonly<Partial<Record<Outcome, number>>>;
  /** The cloud has throttled calls in the last seconds. */
  readonly isThrottled: boolean;
}

/** Everything that a worker's live lines say. */
export interface WorkerNow {
  readonly version: string;
  readonly host: string;
  readonly pid: number;
  readonly upSeconds: number;
  readonly phase: 'starting' | 'working' | 'stopping' | 'stopped';
  readonly accounts: readonly AccountNow[];
  /** Undefined before Redis was read. */
  readonly work: WorkSnapshot | undefined;
  readonly isRedisAway: boolean;
}

/** Rows of a terminal that warnings may take at most, as a share; the rest of them is counted. */
const WARNINGS_SHARE = 0.35;
const ACCOUNTS_SHARE = 0.35;
const NARROWEST_NAME = 6;

/** The live lines of a worker: itself, one line for each account, and what holds work up. */
export function workerLines(now: WorkerNow, { columns, rows }: Size): Line[] {
  const width = columns - 1;
  return [
    ...headOf(now, width),
    ...accountLines(now, width, Math.max(2, Math.floor(rows * ACCOUNTS_SHARE))),
    ...warningLines(now, width, Math.max(3, Math.floor(rows * WARNINGS_SHARE))),
  ];
}

function headOf({ version, phase, pid, upSeconds, work }: WorkerNow, width: number): Line[] {
  const parts = [
    `certsweep worker ${version}, process ${pid}`,
    phase === 'working' ? `up ${duration(upSeconds)}` : phase,
    ...(work === undefined
      ? []
      : [`${count(work.running, 'batch', 'batches')} running, ${groupDigits(work.pending)} pending`]),
    ...(phase === 'working' ? ['Ctrl-C stops it'] : []),
  ];
  return [...wrapParts(parts, width).map((text) => ({ text })), { text: '' }];
}

function accountLines(now: WorkerNow, width: number, most: number): Line[] {
  const rows = now.accounts.map((account) => ({ account, state: stateOf(account, now) }));
  // Where there is not room for all, those that are in trouble come first.
  const ordered = rows.length <= most ? rows : rows.toSorted((a, b) => Number(b.state.isLoud) - Number(a.state.isLoud));
  const shown = ordered.slice(0, most);
  const outcomes = OUTCOMES.filter(
    (outcome) => USUAL.has(outcome) || shown.some(({ account }) => (account.settled[outcome] ?? 0) > 0),
  );
  const head = ['state', 'calls/s', 'in hand', ...outcomes.map(headOfOutcome)];
  const cells = shown.map(({ account: a, state }) => [
    state.word,
    `${Math.round(a.rate)} of ${a.paceQps}`,
    a.inHand,
    ...outcomes.map((outcome) => a.settled[outcome] ?? 0),
  ]);
  const lines = table(head, cells).split('\n');
  const widest = Math.max(...lines.map(({ length }) => length));
  const longestName = Math.max(
    ...['account', ...shown.map(({ account }) => account.account)].map(({ length }) => length),
  );
  const nameWidth = Math.max(NARROWEST_NAME, Math.min(longestName, width - widest - 2));
  const drawn = lines.map((line, at) => {
    const name = at === 0 ? 'account' : printable(shown[at - 1]?.account.account ?? '');
    const isLoud = at > 0 && shown[at - 1]?.state.isLoud === true;
    return { text: cut(`${cut(name, nameWidth).padEnd(nameWidth)}  ${line}`, width), isLoud };
  });
  const more = rows.length - shown.length;
  return more === 0 ? drawn : [...drawn, { text: `… and ${count(more, 'more account')}` }];
}

/** A column for each, also where nothing ended so. */
const USUAL: ReadonlySet<Outcome> = new Set(['revoked', 'already-gone', 'dead']);

function headOfOutcome(outcome: Outcome): string {
  return outcome === 'already-gone' ? 'gone' : labelOf(outcome);
}

interface State {
  readonly word: string;
  readonly isLoud: boolean;
}

function stateOf({ account, rate, isThrottled }: AccountNow, now: WorkerNow): State {
  const { phase, work, isRedisAway, host, pid } = now;
  if (phase !== 'working') return { word: phase, isLoud: false };
  if (isRedisAway) return { word: 'NO REDIS', isLoud: true };
  if (work?.stop !== undefined) return { word: 'STOPPED', isLoud: true };
  const halts = (work?.halts ?? []).filter((halt) => halt.account === account && isOurs(halt, host, pid));
  if (halts.some(({ instanceId }) => instanceId === undefined)) return { word: 'HALTED', isLoud: true };
  if (halts.length > 0) return { word: 'HALTED in part', isLoud: true };
  if (isThrottled) return { word: 'throttled', isLoud: false };
  if (rate > 0) return { word: 'working', isLoud: false };
  return { word: work?.running === 0 && work.paused.length > 0 ? 'paused' : 'idle', isLoud: false };
}

/** Not one of another host alone. */
function isOurs(halt: AnyHalt, host: string, pid: number): boolean {
  return !('host' in halt) || (halt.host === host && halt.pid === pid);
}

function warningLines({ work, isRedisAway }: WorkerNow, width: number, most: number): Line[] {
  const warnings = [
    ...(isRedisAway
      ? ['NO REDIS: the connection is lost, so no call is made. It continues by itself when Redis is back.']
      : []),
    ...(work?.stop === undefined ? [] : [describeStopped(work.stop)]),
    ...(work?.halts ?? []).map(wordsOfHalt),
    ...(work?.paused ?? []).map(wordsOfPause),
  ].map((text) => wrap(printable(text), width, '  '));
  if (warnings.length === 0) return [];
  const lines: string[] = [];
  let shown = 0;
  for (const warning of warnings) {
    const isLast = shown === warnings.length - 1;
    if (shown > 0 && lines.length + warning.length + (isLast ? 0 : 1) > most) break;
    lines.push(...(warning.length <= most ? warning : [...warning.slice(0, most - 1), '  …']));
    shown += 1;
  }
  const more = warnings.length - shown;
  if (more > 0) lines.push(`… and ${count(more, 'more warning')}: certsweep status`);
  return [{ text: '' }, ...lines.map((text) => ({ text, isLoud: true }))];
}

function wordsOfHalt(halt: AnyHalt): string {
  const account = `account ${halt.account}`;
  const where =
    'host' in halt
      ? `${account} on ${halt.host} alone (process ${halt.pid})`
      : halt.instanceId === undefined
        ? account
        : `instance ${halt.instanceId} of ${account}`;
  const why = `${halt.code}: ${halt.message.replace(/[.\s]+$/, '')}`;
  return `HALTED ${where} since ${clock(halt.since)}: ${why}. Its items wait. Fix the cause (certsweep doctor helps to find it); it then continues by itself.`;
}

function wordsOfPause({ batch, pending, pausedBecause }: PausedBatch): string {
  const what = `PAUSED batch ${batch}, ${groupDigits(pending)} pending`;
  // The reason of one that paused itself ends with what to do.
  return pausedBecause === undefined
    ? `${what}, by an operator. certsweep resume ${batch} continues it.`
    : `${what}: ${pausedBecause.replace(/[.\s]+$/, '')}.`;
}
