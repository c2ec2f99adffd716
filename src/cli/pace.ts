import { duration } from '../core/counting.ts';
import type { Command } from 'commander';
import { lowerPace, restorePace, type LowerOutcome, type UnknownAccount } from '../app/pace.ts';
import { accountsOverview } from '../app/paces.ts';
import type { Store } from '../app/store.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { addMotive, motiveOf, reasonRequired, type MotiveOptions } from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describePaces } from './text/paces.ts';
import { printJson, printText, say } from './text/terminal.ts';
import { timeSpanMs } from './time-span.ts';
import { wholeNumber } from './whole-number.ts';

interface PaceOptions extends CommonOptions, MotiveOptions {
  readonly qps?: number;
  readonly for?: string;
  readonly reset?: boolean;
  readonly json?: boolean;
}

export function addPace(program: Command): void {
  const command = program
    .command('pace')
    .summary('show the pace of the accounts, or lower one for a time')
    .description(
      'Shows the pace of each account, and how much of it is used. With --qps and --for it lowers the pace of one account on all hosts, within two seconds; afterwards the configured pace (limits.qps) applies again. It cannot be raised above that.',
    )
    .argument('[account]')
    .option('--qps <n>', 'calls a second, below the configured pace', (value: string) => wholeNumber('--qps', value))
    .option('--for <time>', 'how long: 30m, 12h, 7d at most')
    .option('--reset', 'end a lowered pace now');
  addMotive(command)
    .option('--json', 'print one object')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      '\nExamples:\n  certsweep pace\n  certsweep pace prod --qps 100 --for 1h --reason "others need the quota"\n  certsweep pace prod --reset\n\nExit code: 3 when the pace is not below the configured one.',
    )
    .action((account: string | undefined, options: PaceOptions) => {
      const { qps, for: time, reset = false } = options;
      const isLowering = qps !== undefined || time !== undefined;
      if (isLowering && reset)
        throw new CommandEnd(EXIT.usage, '--reset ends a lowered pace: leave out --qps and --for.');
      if (account === undefined && (isLowering || reset))
        throw new CommandEnd(EXIT.usage, 'Say which account: certsweep pace <account>. certsweep pace shows all.');
      if (account === undefined || (!isLowering && !reset))
        return withStore(options, (store) => show(store, account, options));
      if (reset) return withStore(options, (store) => restore(store, account, options));
      if (qps === undefined || time === undefined)
        throw new CommandEnd(
          EXIT.usage,
          'Give both --qps <n> and --for <time>, such as --for 1h: a lower pace must end.',
        );
      const forSeconds = timeSpanMs('--for', time) / 1_000;
      return withStore(options, (store) => lower(store, { account, qps, forSeconds }, options));
    });
}

async function show(store: Store, account: string | undefined, { json }: PaceOptions): Promise<void> {
  const all = await accountsOverview(store);
  const accounts = all.accounts.filter((one) => account === undefined || one.account === account);
  if (account !== undefined && accounts.length === 0)
    throw noAccount(account, { accounts: all.accounts.map((one) => one.account) });
  const overview = { ...all, accounts };
  if (json === true) printJson(overview);
  else printText(describePaces(overview));
}

async function lower(
  store: Store,
  request: { readonly account: string; readonly qps: number; readonly forSeconds: number },
  options: PaceOptions,
): Promise<void> {
  const { account } = request;
  const result = await lowerPace(store, request, motiveOf(options));
  if (result.kind !== 'lowered') throw notLowered(request, result);
  const { qps, untilMs, configuredQps } = result;
  if (options.json === true) printJson({ account, qps, untilMs, configuredQps });
  const until = new Date(untilMs).toISOString();
  say(`Account ${account} makes at most ${qps} calls a second until ${until}, then ${configuredQps} again.`);
}

function notLowered(
  { account, qps }: { readonly account: string; readonly qps: number },
  result: Exclude<LowerOutcome, { kind: 'lowered' }>,
): CommandEnd {
  switch (result.kind) {
    case 'not-lower':
      return new CommandEnd(
        EXIT.refused,
        `--qps ${qps} is not below the configured pace of account ${account}, which is ${result.configuredQps}. To raise that, change accounts.${account}.limits.qps and start the workers again.`,
      );
    case 'bad-qps':
      return new CommandEnd(EXIT.usage, `--qps ${qps} is less than 1. To stop all calls: certsweep stop --all.`);
    case 'bad-time':
      return new CommandEnd(
        EXIT.usage,
        `--for is at least 1m, and ${duration(result.most)} at most. For longer, lower accounts.${account}.limits.qps.`,
      );
    case 'no-account':
      return noAccount(account, result);
  }
}

async function restore(store: Store, account: string, options: PaceOptions): Promise<void> {
  const result = await restorePace(store, account, motiveOf(options));
  switch (result.kind) {
    case 'restored':
    case 'not-lowered': {
      const { configuredQps } = result;
      if (options.json === true) printJson({ account, configuredQps, wasLowered: result.kind === 'restored' });
      say(
        result.kind === 'restored'
          ? `Account ${account} makes up to ${configuredQps} calls a second again.`
          : `The pace of account ${account} is not lowered: it is ${configuredQps} calls a second.`,
      );
      return;
    }
    case 'reason-required':
      throw reasonRequired();
    case 'no-account':
      throw noAccount(account, result);
  }
}

function noAccount(account: string, { accounts }: Pick<UnknownAccount, 'accounts'>): CommandEnd {
  const known = accounts.length === 0 ? 'it has none' : `it has ${accounts.join(', ')}`;
  return new CommandEnd(EXIT.usage, `The configuration has no account ${JSON.stringify(account)}: ${known}.`);
}
