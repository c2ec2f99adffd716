import { count } from '../../core/counting.ts';
import type { CaAction, CaChangeOutcome, CaSnapshot } from '../../app/ca-change.ts';
import type { Ca } from '../../app/cas.ts';
import { printable } from '../../core/printable.ts';
import { table } from './terminal.ts';

interface ActionText {
  readonly description: string;
  /** What the option --yes does. */
  readonly yes: string;
  readonly example: string;
  readonly permission: string;
  readonly done: string;
}

const DO_NOT_ASK = 'do not ask for confirmation';
const PREVIEW = 'Without --execute it only shows the CA and the number of its certificates.';

export const ACTIONS: Readonly<Record<CaAction, ActionText>> = {
  inactivate: {
    description: `Inactivates a CA, so that no device registers by itself with a certificate of it any more. It can be undone with activate. ${PREVIEW}`,
    yes: DO_NOT_ASK,
    example: '  certsweep ca inactivate post-cn-xxx 007269004887 --execute',
    permission: 'mq:UnregisterCaCertificate',
    done: 'is inactive',
  },
  activate: {
    description: `Activates a CA again: devices with its certificates can register by themselves. ${PREVIEW}`,
    yes: DO_NOT_ASK,
    example: '  certsweep ca activate post-cn-xxx 007269004887 --execute',
    permission: 'mq:ActiveCaCertificate',
    done: 'is active',
  },
  delete: {
    description: `Deletes a CA and all its device certificates. There is no undo. ${PREVIEW} With --execute it asks for the serial number and that number, and counts again right before the call.`,
    yes: 'not enough for this command: give --confirm',
    example: `  certsweep ca delete post-cn-xxx 007269004887
  certsweep ca delete post-cn-xxx 007269004887 --execute \\
    --confirm 007269004887:1234`,
    permission: 'mq:DeleteCaCertificate',
    done: 'is deleted, and its certificates with it',
  },
};

export function describeCas(cas: readonly Ca[]): string {
  return table(
    ['ca', 'name', 'status', 'valid from', 'valid to'],
    cas.map(({ caSn, name, status, validBegin, validEnd }) => [caSn, name, status, dayOf(validBegin), dayOf(validEnd)]),
  );
}

/** The day of a time in ISO 8601: a CA lasts for years. */
function dayOf(time: string): string {
  return time.slice(0, 'YYYY-MM-DD'.length);
}

export function describeCa(ca: Ca, certificates: number): string {
  return `${describeCas([ca])}\n${count(certificates, 'certificate')}`;
}

/** The CA as it is before it is changed, and what the change does. */
export function describeCaNow(
  { instanceId, action }: { readonly instanceId: string; readonly action: CaAction },
  { ca, certificates }: CaSnapshot,
): string {
  const name = ca.name === '' ? '' : ` (${printable(ca.name)})`;
  const has = certificates === null ? '' : `, and has ${count(certificates, 'certificate')} now`;
  const lines = [`CA ${printable(ca.caSn)}${name} of ${instanceId} is ${ca.status}${has}.`];
  if (action === 'delete')
    lines.push('Deleting it deletes all of them too, and any that register before the call. There is no undo.');
  return lines.join('\n');
}

export function questionOf(action: CaAction): string {
  return action === 'delete'
    ? 'Type its serial number and the number of its certificates, as <sn>:<n>, to delete all of them:'
    : `Type its serial number to ${action} it:`;
}

/** How it ended. */
export function describeChange(
  { instanceId, caSn, action }: { readonly instanceId: string; readonly caSn: string; readonly action: CaAction },
  end: Extract<CaChangeOutcome, { kind: 'preview' | 'already' | 'changed' }>,
): string {
  const ca = `CA ${printable(caSn)} of ${instanceId}`;
  switch (end.kind) {
    case 'preview': {
      if (action !== 'delete') return `Nothing was changed. To ${action} it: the same command with --execute.`;
      const word = `${caSn}:${end.certificates}`;
      return `Nothing was changed. To delete it: the same command with --execute --confirm ${printable(word)}.`;
    }
    case 'already':
      return `${ca} ${ACTIONS[action].done} already: no call was made.`;
    case 'changed':
      return end.requestId === null
        ? `${ca} ${ACTIONS[action].done}: the answer was lost, but the CA shows it.`
        : `${ca} ${ACTIONS[action].done} (request ${printable(end.requestId)}).`;
  }
}

export function noCa(instanceId: string, caSn: string): string {
  return `${instanceId} has no CA ${JSON.stringify(caSn)}: certsweep ca list ${instanceId} shows those it has.`;
}
