import { count } from '../core/counting.ts';
import type { Command } from 'commander';
import { startAll, stopAll, type StartPreview } from '../app/stop.ts';
import type { Store } from '../app/store.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { addMotive, ask, isOnTerminal, motiveOf, reasonRequired, type MotiveOptions } from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeStopped } from './text/status.ts';
import { printJson, say } from './text/terminal.ts';

interface StopOptions extends CommonOptions, MotiveOptions {
  readonly all?: boolean;
  readonly json?: boolean;
}

interface StartOptions extends StopOptions {
  readonly yes?: boolean;
}

/** What an operator types to let calls continue. */
const WORD = 'start';

/** The kill switch. */
export function addStop(program: Command): void {
  const stop = program
    .command('stop')
    .summary('stop every call of every account, on all hosts')
    .description(
      'Stops every call of every account: deletions, inventories, changes of CAs and probes. Two seconds later none leaves, on any host. Items wait, and nothing is lost. It lasts until certsweep start --all, even if workers restart. It needs no reason.',
    )
    .option('--all', 'all accounts; must be given');
  addMotive(stop)
    .option('--json', 'print one object: isNew, and stopped with since, requestedBy, reason')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText('after', '\nExample:\n  certsweep stop --all --reason "wrong fleet"')
    .action((options: StopOptions) => {
      if (options.all !== true) throw notAll('stop', 'To hold one batch: certsweep pause <batch>.');
      return withStore(options, (store) => stopNow(store, options));
    });
  const start = program
    .command('start')
    .summary('let calls continue after a stop')
    .description(
      'Ends the stop of all calls: running batches continue where they were. On a terminal it asks first; without one it needs --yes.',
    )
    .option('--all', 'all accounts; must be given')
    .option('--yes', 'do not ask for confirmation');
  addMotive(start)
    .option('--json', 'print one object: started, the stop that is over, or null where nothing was stopped')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText('after', '\nExample:\n  certsweep start --all --reason "the manifest was right"')
    .action((options: StartOptions) => {
      if (options.all !== true) throw notAll('start', 'To continue one batch: certsweep resume <batch>.');
      return withStore(options, (store) => startNow(store, options));
    });
}

async function stopNow(store: Store, options: StopOptions): Promise<void> {
  const { isNew, stop } = await stopAll(store, motiveOf(options));
  if (options.json === true) printJson({ isNew, stopped: stop });
  say(isNew ? 'All calls are stopped: none leaves after two seconds, on any host.' : 'All calls were stopped before.');
  say(describeStopped(stop));
}

async function startNow(store: Store, options: StartOptions): Promise<void> {
  const result = await startAll(store, { ...motiveOf(options), confirm: (preview) => isMeant(preview, options) });
  switch (result.kind) {
    case 'started':
      if (options.json === true) printJson({ started: result.stop });
      say('Calls continue.');
      return;
    case 'not-stopped':
      if (options.json === true) printJson({ started: null });
      say('Nothing is stopped: calls are being made.');
      return;
    case 'unconfirmed':
      throw new CommandEnd(EXIT.refused, `That is not "${WORD}". All calls stay stopped.`);
    case 'another-stop':
      throw new CommandEnd(
        EXIT.refused,
        'Somebody has started and stopped all calls meanwhile: see certsweep status, then start again. They stay stopped.',
      );
    case 'reason-required':
      throw reasonRequired();
  }
}

async function isMeant({ stop, running, pending }: StartPreview, { yes }: StartOptions): Promise<boolean> {
  if (yes === true) return true;
  if (!isOnTerminal()) {
    throw new CommandEnd(EXIT.refused, 'There is no terminal to ask on: add --yes. All calls stay stopped.');
  }
  say(describeStopped(stop));
  const waiting = `${count(running, 'batch', 'batches')} with ${count(pending, 'certificate')} pending`;
  return (await ask(`This lets ${waiting} continue. Type "${WORD}":`)) === WORD;
}

function notAll(name: string, instead: string): CommandEnd {
  return new CommandEnd(EXIT.usage, `certsweep ${name} is for every account: add --all. ${instead}`);
}
