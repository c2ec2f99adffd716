import { count, duration, groupDigits } from '../../core/counting.ts';
import type { Happening } from './event.ts';
import { cut, wrapParts } from './fit.ts';
import type { Line, Size } from './frame.ts';
import { printable } from '../../core/printable.ts';

/** What a sandbox has seen: the part of its report that its screen shows. */
export interface SandboxSeen {
  readonly calls: number;
  readonly byCode: Readonly<Record<string, number>>;
  readonly byFault: Readonly<Record<string, number>>;
  readonly deletions: number;
  readonly accounts: Readonly<Record<string, QuotaSeen>>;
  readonly egress: Readonly<Record<string, QuotaSeen & { readonly blocked: boolean }>>;
}

interface QuotaSeen {
  readonly worstSecond: number;
  readonly overQuota: number;
}

/** Everything that a sandbox's live lines say. */
export interface SandboxNow {
  readonly url: string;
  readonly upSeconds: number;
  /** Calls a second in the last seconds. */
  readonly rate: number;
  readonly seen: SandboxSeen;
  /** Undefined where every certificate exists until it is deleted. */
  readonly registered: number | undefined;
  readonly limits: { readonly accountQps: number; readonly egressQps: number };
  readonly hasEnded: boolean;
}

const NAME_COLUMNS = 8;
/** Lines that codes or faults may take; the rest of them is counted. */
const MOST_LINES = 3;

/** The live lines of a sandbox: calls, what was answered, what is left, faults, and quotas that were passed. */
export function sandboxLines(now: SandboxNow, { columns }: Size): Line[] {
  const { url, upSeconds, rate, seen, registered, hasEnded } = now;
  const width = columns - 1;
  const calls = [
    ...(hasEnded ? [] : [`${Math.round(rate)}/s`]),
    `${groupDigits(seen.calls)} in all`,
    `deleted ${groupDigits(seen.deletions)}`,
    registered === undefined ? 'every other certificate is registered' : `registered ${groupDigits(registered)}`,
  ];
  const rows: [string, readonly string[]][] = [
    ['calls', calls],
    ['answers', tallies(seen.byCode)],
    ['faults', tallies(seen.byFault)],
    ['busiest', busiest(now)],
  ];
  const head = [
    `certsweep sandbox on ${url}`,
    ...(hasEnded ? ['ended'] : [`up ${duration(upSeconds)}`, 'Ctrl-C stops it']),
  ];
  return [
    ...wrapParts(head, width).map((text) => ({ text })),
    { text: '' },
    ...rows.flatMap(([name, parts]) => row(name, parts, width)),
    ...warnings(seen, width),
  ];
}

function row(name: string, parts: readonly string[], width: number): Line[] {
  const indent = ' '.repeat(NAME_COLUMNS);
  const room = width - NAME_COLUMNS;
  const lines = wrapParts(
    (parts.length === 0 ? ['none'] : parts).map((part) => cut(printable(part), room)),
    room,
  );
  const shown = lines.slice(0, MOST_LINES);
  if (lines.length > shown.length) shown.push('…');
  return shown.map((line, at) => ({ text: `${at === 0 ? name.padEnd(NAME_COLUMNS) : indent}${line}` }));
}

/** `OK 4,000`, the most frequent first. */
function tallies(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, number]) => `${name} ${groupDigits(number)}`);
}

/** The busiest second of each account and address, against what is allowed. */
function busiest({ seen, limits }: SandboxNow): string[] {
  const of = (quotas: Readonly<Record<string, QuotaSeen>>, qps: number): string[] =>
    Object.entries(quotas).map(([name, { worstSecond }]) => `${name} ${worstSecond} of ${qps} a second`);
  return [...of(seen.accounts, limits.accountQps), ...of(seen.egress, limits.egressQps)];
}

function warnings({ accounts, egress }: SandboxSeen, width: number): Line[] {
  const over = [
    ...Object.entries(accounts).map(([name, quota]) => ({
      name: `account with key ${name}`,
      ...quota,
      blocked: false,
    })),
    ...Object.entries(egress).map(([name, quota]) => ({ name: `address ${name}`, ...quota })),
  ].filter(({ overQuota }) => overQuota > 0);
  if (over.length === 0) return [];
  const lines = over.flatMap(({ name, overQuota, blocked }) =>
    wrapParts(
      [`OVER QUOTA ${printable(name)}: ${count(overQuota, 'call')} beyond it.`, ...(blocked ? ['BLOCKED now.'] : [])],
      width,
      { indent: '  ', between: ' ' },
    ),
  );
  return [{ text: '' }, ...lines.map((text) => ({ text, isLoud: true }))];
}

/** What happened between two reads of a sandbox, in words. */
export function sandboxHappenings(before: SandboxSeen, after: SandboxSeen, atMs: number): Happening[] {
  const news = (text: string): Happening => ({ atMs, text: printable(text), isProblem: false });
  const problem = (text: string): Happening => ({ atMs, text: printable(text), isProblem: true });
  const faults = risen(before.byFault, after.byFault);
  const codes = risen(before.byCode, after.byCode).filter(([code]) => code !== 'OK');
  return [
    ...(faults.length === 0 ? [] : [news(`played faults: ${faults.map(timesOf).join(', ')}`)]),
    ...(codes.length === 0 ? [] : [news(`answered ${codes.map(timesOf).join(', ')}`)]),
    ...Object.entries(after.egress).flatMap(([address, { blocked }]) => {
      const wasBlocked = before.egress[address]?.blocked ?? false;
      if (blocked === wasBlocked) return [];
      return blocked
        ? [problem(`the address ${address} passed its quota and is blocked`)]
        : [news(`the address ${address} is no longer blocked`)];
    }),
  ];
}

function risen(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(after)
    .map(([name, number]): [string, number] => [name, number - (before[name] ?? 0)])
    .filter(([, by]) => by > 0);
}

function timesOf([name, number]: readonly [string, number]): string {
  return number === 1 ? name : `${name} ${groupDigits(number)} times`;
}
