import { randomUUID } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import type { Action } from '../core/action.ts';
import { wellFormed } from '../core/printable.ts';
import type { AuditEntry, AuditEvent } from './entry.ts';

/** Who wants a change, and why, in their own words. */
export interface Motive {
  readonly requestedBy?: string;
  readonly reason?: string;
}

/** A change as its maker describes it. */
export interface Deed extends Motive {
  readonly event: AuditEvent;
  readonly batch?: string;
  /** Of a submission. */
  readonly action?: Action;
  readonly retire?: NonNullable<AuditEntry['retire']>;
  readonly ca?: NonNullable<AuditEntry['ca']>;
  readonly schedule?: string;
  readonly manifestSha256?: string;
}

/** Longer words than these are cut: the record is read by people, and never trimmed. */
const MAX_TEXT = 1_000;

/** Begins the name of each operation of this process. */
export const PROCESS_TAG = randomUUID();
let operations = 0;

/** The account of the operating system that this process runs as. */
export function osUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a number that has no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

/**
 * An argument for a script that has the part `AUDIT`: the operation's name and the entry's text but for what only Redis knows. To be made once for
 * each change, so that a script that is sent again has the same.
 */
export function auditNote({
  event,
  batch,
  action,
  retire,
  ca,
  schedule,
  requestedBy,
  reason,
  manifestSha256,
}: Deed): string {
  operations += 1;
  const of = {
    ...(retire !== undefined && { retire }),
    ...(ca !== undefined && { ca: { instanceId: ca.instanceId, caSn: ca.caSn } }),
    ...(schedule !== undefined && { schedule }),
  };
  const head = { event, batch: batch ?? null, action, ...of, user: osUser(), host: hostname(), pid: process.pid };
  const words = { requestedBy: cut(requestedBy), reason: cut(reason) };
  const inner = (part: object): string => ascii(JSON.stringify(part).slice(1, -1));
  return JSON.stringify([
    `${PROCESS_TAG}.${operations}`,
    inner({ ...head, ...words }),
    inner({ manifestSha256: manifestSha256 ?? null }),
  ]);
}

function cut(text: string | undefined): string | null {
  if (text === undefined) return null;
  return wellFormed(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text);
}

/** The same JSON in printable ASCII: one text in every language and on every terminal. */
function ascii(json: string): string {
  return json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
