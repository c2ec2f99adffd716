import type { Command } from 'commander';
import { STANDING_PREFIX } from '../ledger/ledger.ts';
import { allHalts, type AnyHalt } from '../limiter/host-halts.ts';
import { batchStatus, overview, statusOf, type BatchDetail, type Overview } from '../queue/overview.ts';
import { onLeaveSignal } from '../runtime/shutdown.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { withStore, type CommonOptions, type Store } from './session.ts';
import { describeBatch, describeHalt, describeOverview } from './text/status.ts';
import { print, printJson } from './text/terminal.ts';
import { ownersOf, unattended } from './unattended.ts';

interface StatusOptions extends CommonOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

const WATCH_EVERY_MS = 1_000;

export function addStatus(program: Command): void {
  program
    .command('status')
    .summary('how a batch goes, or all of them')
    .description(
      'Shows one batch, or all batches and halts. Exit code: 1 when a completed batch has dead items, 3 while something is halted, paused or lost.',
    )
    .argument('[batch]')
    .option('--json', 'print one object')
    .option('--watch', 'show it anew each second, until the batch is done')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action((batch: string | undefined, options: StatusOptions) =>
      withStore(options, (store) =>
        options.watch === true ? watch(store, batch, options) : once(store, batch, options),
      ),
    );
}

interface Look {
  readonly text: string;
  readonly json: unknown;
  readonly exitCode: number;
  readonly isDone: boolean;
}

async function once(store: Store, batch: string | undefined, options: StatusOptions): Promise<void> {
  const look = await lookAt(store, batch);
  if (options.json === true) printJson(look.json);
  else print(look.text);
  process.exitCode = look.exitCode;
}

async function watch(store: Store, batch: string | undefined, options: StatusOptions): Promise<void> {
  const leave = onLeaveSignal();
  const interrupted = leave.wait.then(() => true);
  try {
    for (;;) {
      const look = await lookAt(store, batch);
      if (options.json === true) printJson(look.json);
      else if (process.stdout.isTTY) print(`\u001B[H\u001B[2J${look.text}`);
      else print(`${look.text}\n`);
      process.exitCode = look.exitCode;
      if (look.isDone) return;
      const pause = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), WATCH_EVERY_MS));
      if (await Promise.race([pause, interrupted])) throw new CommandEnd(EXIT.interrupted, '');
    }
  } finally {
    leave.forget();
  }
}

async function lookAt(store: Store, batch: string | undefined): Promise<Look> {
  return batch === undefined ? lookAtAll(store) : lookAtBatch(store, batch);
}

async function lookAtAll({ redis, prefix, ledger, where }: Store): Promise<Look> {
  const all: Overview = await overview(redis, prefix, ledger);
  const isHeld = all.halts.length > 0 || all.batches.some(({ state }) => state === 'paused');
  const json = { batches: all.batches.map(statusOf), halts: all.halts };
  return { text: describeOverview(all, where), json, exitCode: isHeld ? EXIT.refused : EXIT.ok, isDone: false };
}

async function lookAtBatch(store: Store, id: string): Promise<Look> {
  const { config, redis, prefix, ledger } = store;
  const [detail, all, lanes] = await Promise.all([batchStatus(ledger, id), allHalts(redis, prefix), ledger.lanes(id)]);
  const instances = lanes.map(({ instanceId }) => instanceId);
  const accounts = ownersOf(config, lanes);
  const halts = all.filter((halt) =>
    halt.instanceId === undefined ? accounts.has(halt.account) : instances.includes(halt.instanceId),
  );
  if (detail === undefined) throw noBatch(id, store.where);
  // A standing batch that is paused keeps what comes next waiting.
  const isDone = detail.pending === 0 && detail.state !== 'planned' && detail.state !== 'paused';
  const isUnread = !isDone && detail.state !== 'planned' && !id.startsWith(STANDING_PREFIX) && lanes.length === 0;
  const alone = detail.state === 'running' && !isDone ? await unattended(store, accounts) : [];
  const lost = isUnread ? [`Redis has lost which instances batch ${id} holds: a worker reads its chunks again.`] : [];
  const text = [...(isDone ? [] : halts.map(describeHalt)), ...lost, ...alone, describeBatch(detail)].join('\n');
  return {
    text,
    json: statusOf(detail),
    exitCode: isUnread ? EXIT.refused : exitCodeOf(detail, halts, isDone),
    isDone,
  };
}

function exitCodeOf(detail: BatchDetail, halts: readonly AnyHalt[], isDone: boolean): number {
  if (!isDone) return halts.length > 0 || detail.state === 'paused' ? EXIT.refused : EXIT.ok;
  return detail.dead > 0 ? EXIT.someDead : EXIT.ok;
}
