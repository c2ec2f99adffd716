import type { AccountPace, AccountsOverview } from '../../app/paces.ts';
import { describeLowered, describeStopped } from './status.ts';
import { table } from './terminal.ts';

/** The accounts with their pace, below what stands in their way. */
export function describePaces({ stopped, accounts }: AccountsOverview): string {
  const lowered = accounts.flatMap(({ account, lowered: pace }) =>
    pace === null ? [] : [describeLowered({ account, ...pace })],
  );
  if (accounts.length === 0) return 'The configuration has no account.';
  return [
    ...(stopped === null ? [] : [describeStopped(stopped)]),
    ...lowered,
    table(
      ['account', 'configured', 'in force', 'used', 'state'],
      accounts.map((pace) => [
        pace.account,
        pace.configuredQps,
        pace.inForceQps,
        pace.usedQps === null ? '-' : String(Math.round(pace.usedQps)),
        stateOf(pace, stopped !== null),
      ]),
    ),
  ].join('\n');
}

function stateOf({ halts, heldForMs, lowered, factor, isAttended }: AccountPace, isStopped: boolean): string {
  if (isStopped) return 'STOPPED';
  if (halts.some(({ instanceId }) => instanceId === undefined)) return 'HALTED';
  if (halts.length > 0) return 'HALTED in part';
  if (heldForMs > 0 || factor < 1) return 'throttled';
  if (lowered !== null) return 'lowered';
  return isAttended ? 'full' : 'no worker';
}
