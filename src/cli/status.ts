import type { Command } from 'commander';
import { forgottenBatch } from '../app/control.ts';
import { statusOf } from '../app/overview.ts';
import { readOverview, readBatch, type Condition } from '../app/status.ts';
import type { Store } from '../app/store.ts';
import { onLeaveSignal } from '../runtime/shutdown.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeForgotten } from './text/audit.ts';
import { describeBatchNow, describeOverview } from './text/status.ts';
import { columnsOfTerminal, print, printJson } from './text/terminal.ts';

interface StatusOptions extends CommonOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

const WATCH_EVERY_MS = 1_000;
/** To the upper left corner, and nothing is left of what stood there. */
const CLEAR_SCREEN = '\u001B[H\u001B[2J';

const EXIT_OF: Readonly<Record<Condition, number>> = { fine: EXIT.ok, held: EXIT.refused, 'some-dead': EXIT.someDead };

export function addStatus(program: Command): void {
  program
    .command('status')
    .summary('show the progress of a batch, or of all')
    .description(
      'Shows one batch, or all batches and halts. Exit code: 1 when a completed batch has dead items, 3 while something is stopped, halted, paused or lost.',
    )
    .argument('[batch]')
    .option('--json', 'print one object')
    .option('--watch', 'refresh it every second, until the batch is done')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action((batch: string | undefined, options: StatusOptions) =>
      withStore(options, (store) =>
        options.watch === true ? watch(store, batch, options) : once(store, batch, options),
      ),
    );
}

interface Status {
  readonly text: string;
  readonly json: unknown;
  readonly exitCode: number;
  readonly isDone: boolean;
}

async function once(store: Store, batch: string | undefined, options: StatusOptions): Promise<void> {
  const read = await readStatus(store, batch);
  if (options.json === true) printJson(read.json);
  else print(read.text);
  process.exitCode = read.exitCode;
}

async function watch(store: Store, batch: string | undefined, options: StatusOptions): Promise<void> {
  const leave = onLeaveSignal();
  const interrupted = leave.wait.then(() => true);
  try {
    for (;;) {
      const read = await readStatus(store, batch);
      if (options.json === true) printJson(read.json);
      else if (process.stdout.isTTY) {
        process.stdout.write(CLEAR_SCREEN);
        print(read.text);
      } else print(`${read.text}\n`);
      process.exitCode = read.exitCode;
      if (read.isDone) return;
      const pause = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), WATCH_EVERY_MS));
      if (await Promise.race([pause, interrupted])) throw new CommandEnd(EXIT.interrupted, '');
    }
  } finally {
    leave.forget();
  }
}

async function readStatus(store: Store, batch: string | undefined): Promise<Status> {
  if (batch === undefined) {
    const all = await readOverview(store);
    const json = {
      batches: all.batches.map(statusOf),
      halts: all.halts,
      stopped: all.stop ?? null,
      lowered: all.lowered,
    };
    return {
      text: describeOverview(all, store.where, columnsOfTerminal(process.stdout)),
      json,
      exitCode: EXIT_OF[all.condition],
      isDone: false,
    };
  }
  const read = await readBatch(store, batch);
  if (read === undefined) {
    const left = await forgottenBatch(store, batch);
    throw left === undefined ? noBatch(batch, store.where) : new CommandEnd(EXIT.usage, describeForgotten(left));
  }
  const { detail, condition, isDone } = read;
  return {
    text: describeBatchNow(read, columnsOfTerminal(process.stdout)),
    json: statusOf(detail),
    exitCode: EXIT_OF[condition],
    isDone,
  };
}
