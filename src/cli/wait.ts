import { count } from '../core/counting.ts';
import { ownersOf } from '../app/accounts.ts';
import type { BatchDetail } from '../app/overview.ts';
import { readWhileWaiting } from '../app/status.ts';
import type { Store } from '../app/store.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { onLeaveSignal } from '../runtime/shutdown.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { describeEnds } from './text/action.ts';
import { Progress } from './text/progress.ts';
import { describeHalt, describeStopped, describeUnattended } from './text/status.ts';
import { say } from './text/terminal.ts';

const POLL_EVERY_MS = 500;

/**
 * Shows progress until every item of the batch is settled.
 * @throws CommandEnd with the exit code that its outcome asks for; the batch itself continues whatever happens here
 */
export async function waitForBatch(store: Store, batch: string): Promise<BatchDetail> {
  const leave = onLeaveSignal();
  const interrupted = leave.wait.then(() => 'interrupted' as const);
  const progress = new Progress();
  const told = new Set<string>();
  try {
    const owners = ownersOf(store.config, await store.ledger.lanes.of(batch));
    for (;;) {
      const seen = await readWhileWaiting(store, batch, owners);
      if (seen.kind === 'gone')
        throw new CommandEnd(
          EXIT.refused,
          `Batch ${batch} is gone from Redis. Submit its manifest again: nothing is done twice.`,
        );
      const { detail } = seen;
      progress.show(detail);
      if (seen.kind === 'settled') {
        progress.end();
        return endOf(detail);
      }
      if (seen.stop !== undefined) tellOnce(describeStopped(seen.stop));
      for (const halt of seen.halts) tellOnce(describeHalt(halt));
      for (const account of seen.unattended) tellOnce(describeUnattended(account));
      if (seen.kind === 'paused') {
        progress.end();
        throw new CommandEnd(
          EXIT.refused,
          `Batch ${batch} is paused: ${detail.pausedBecause ?? 'by an operator'}. certsweep resume ${batch} continues it.`,
        );
      }
      const pause = new Promise<'next'>((resolve) => setTimeout(() => resolve('next'), POLL_EVERY_MS));
      if ((await Promise.race([pause, interrupted])) === 'interrupted') {
        progress.end();
        throw new CommandEnd(
          EXIT.interrupted,
          `Interrupted; batch ${batch} keeps running. certsweep status ${batch} --watch shows it, certsweep pause ${batch} pauses it.`,
        );
      }
    }
  } catch (error) {
    if (error instanceof CommandEnd) throw error;
    progress.end();
    throw new CommandEnd(
      EXIT.unknown,
      `Batch ${batch} keeps running, but Redis does not answer: ${describeRedisError(error)}\ncertsweep status ${batch} --watch shows its progress when Redis is back.`,
    );
  } finally {
    leave.forget();
  }

  function tellOnce(line: string): void {
    if (told.has(line)) return;
    told.add(line);
    progress.end();
    say(line);
  }
}

function endOf(detail: BatchDetail): BatchDetail {
  const { batch, action, dead, state } = detail;
  const summary = `Batch ${batch} ${state}: ${describeEnds(action, detail)}.`;
  if (dead > 0)
    throw new CommandEnd(
      EXIT.someDead,
      `${summary}\n${count(dead, 'dead letter')}: certsweep dead list --batch ${batch} says why.`,
    );
  if (state === 'cancelled') throw new CommandEnd(EXIT.refused, summary);
  say(summary);
  return detail;
}
