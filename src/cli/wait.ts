import { readHalts } from '../limiter/halt-store.ts';
import { batchStatus, type BatchDetail } from '../queue/overview.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { onLeaveSignal } from '../runtime/shutdown.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { Progress } from './text/progress.ts';
import type { Store } from './session.ts';
import { describeHalt } from './text/status.ts';
import { count, say } from './text/terminal.ts';
import { ownersOf, unattended } from './unattended.ts';

const LOOK_EVERY_MS = 500;

/**
 * Shows progress until every item of the batch is settled.
 * @throws CommandEnd with the exit code that its outcome asks for; the batch itself goes on whatever happens here
 */
export async function waitForBatch(store: Store, batch: string): Promise<BatchDetail> {
  const leave = onLeaveSignal();
  const interrupted = leave.wait.then(() => 'interrupted' as const);
  const progress = new Progress();
  const told = new Set<string>();
  try {
    const owners = ownersOf(store.config, await store.ledger.lanes(batch));
    for (;;) {
      const detail = await batchStatus(store.ledger, batch);
      if (detail === undefined)
        throw new CommandEnd(
          EXIT.refused,
          `Batch ${batch} is gone from Redis. Submit its manifest again: what is done is not done twice.`,
        );
      progress.show(detail);
      if (detail.pending === 0 && detail.state !== 'planned') {
        progress.end();
        return endOf(detail);
      }
      for (const halt of await readHalts(store.redis, store.prefix)) tellOnce(describeHalt(halt));
      for (const line of await unattended(store, owners)) tellOnce(line);
      if (detail.state === 'paused') {
        progress.end();
        throw new CommandEnd(
          EXIT.refused,
          `Batch ${batch} is paused: ${detail.pausedBecause ?? 'by an operator'}. certsweep resume ${batch} goes on.`,
        );
      }
      const pause = new Promise<'look'>((resolve) => setTimeout(() => resolve('look'), LOOK_EVERY_MS));
      if ((await Promise.race([pause, interrupted])) === 'interrupted') {
        progress.end();
        throw new CommandEnd(
          EXIT.interrupted,
          `Interrupted; batch ${batch} goes on. certsweep status ${batch} --watch shows it, certsweep pause ${batch} holds it.`,
        );
      }
    }
  } catch (error) {
    if (error instanceof CommandEnd) throw error;
    progress.end();
    throw new CommandEnd(
      EXIT.unknown,
      `Batch ${batch} goes on, but Redis does not answer how: ${describeRedisError(error)}\ncertsweep status ${batch} --watch shows it when Redis is back.`,
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
  const { batch, revoked, alreadyGone, dead, cancelled, state } = detail;
  const summary = `Batch ${batch} ${state}: ${revoked} revoked, ${alreadyGone} already gone, ${dead} dead, ${cancelled} cancelled.`;
  if (dead > 0)
    throw new CommandEnd(
      EXIT.someDead,
      `${summary}\n${count(dead, 'dead letter')}: certsweep dead list --batch ${batch} says why.`,
    );
  if (state === 'cancelled') throw new CommandEnd(EXIT.refused, summary);
  say(summary);
  return detail;
}
