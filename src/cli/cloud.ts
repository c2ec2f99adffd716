import { reachOf, type OutOfReach } from '../app/accounts.ts';
import type { CloudStop } from '../app/cloud.ts';
import type { AccountConfig, Config } from '../runtime/config/config.ts';
import { onLeaveSignal } from '../runtime/shutdown.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { describeStop, type Asked } from './text/cloud.ts';

/** @throws CommandEnd where no account can be asked about the instance */
export function accountFor(config: Config, instanceId: string): AccountConfig {
  const reach = reachOf(config, instanceId);
  if (reach.kind === 'reach') return reach.account;
  throw outOfReach(reach);
}

export function outOfReach(reach: OutOfReach): CommandEnd {
  switch (reach.kind) {
    case 'no-account':
      return new CommandEnd(
        EXIT.usage,
        `No account of the configuration has the instance ${JSON.stringify(reach.instanceId)}: list it under accounts.<name>.instances.`,
      );
    case 'no-key':
      return new CommandEnd(EXIT.usage, `${reach.variable} is not set: account ${reach.account} needs it for its key.`);
  }
}

/** Runs work that a signal ends. */
export async function untilLeave<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const leave = onLeaveSignal();
  const ending = new AbortController();
  void leave.wait.then(() => ending.abort());
  try {
    return await work(ending.signal);
  } finally {
    leave.forget();
  }
}

/** The cloud was not, or no longer, asked. */
export function stopped(end: CloudStop, account: string, asked: Asked): CommandEnd {
  return new CommandEnd(end.kind === 'closed' ? EXIT.interrupted : EXIT.refused, describeStop(end, account, asked));
}
