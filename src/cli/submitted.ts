import { count } from '../core/counting.ts';
import { unattendedOf } from '../app/accounts.ts';
import type { Store } from '../app/store.ts';
import type { SubmitOutcome } from '../app/submit.ts';
import type { Action } from '../core/action.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { reasonRequired } from './motive.ts';
import { describeUnknown } from './text/plan.ts';
import { describeUnattended } from './text/status.ts';
import { printJson, say } from './text/terminal.ts';
import { waitForBatch } from './wait.ts';

interface TellOptions {
  readonly json?: boolean;
  readonly wait?: boolean;
}

/** Says how a submission ended whose certificates were all right and confirmed. @throws CommandEnd where nothing may run, or nobody knows */
export async function tellSubmitted(
  result: Exclude<SubmitOutcome, { readonly kind: 'bad-rows' | 'empty' | 'unconfirmed' }>,
  action: Action,
  options: TellOptions,
  store: Store,
): Promise<void> {
  switch (result.kind) {
    case 'running':
    case 'at-work':
      await sayTaken(result, action, options, store);
      return;
    case 'awaits-approval':
      sayAwaitsApproval(result.submitted, action, options);
      return;
    case 'reason-required':
      throw reasonRequired();
    case 'used':
    case 'claim-lost':
    case 'overtaken':
    case 'gone':
      throw new CommandEnd(
        EXIT.refused,
        'The stored plan is no longer there (it is kept for an hour): nothing runs. Submit the manifest again.',
      );
    case 'unknown': {
      const { batch, rejected, error } = result;
      if (options.json === true)
        printJson({ batch, action, accepted: null, duplicates: null, rejected, outcome: 'unknown' });
      throw new CommandEnd(EXIT.unknown, describeUnknown(batch, error));
    }
  }
}

type TakenIn = Extract<SubmitOutcome, { readonly kind: 'awaits-approval' }>['submitted'];

async function sayTaken(
  { kind, submitted }: Extract<SubmitOutcome, { readonly kind: 'running' | 'at-work' }>,
  action: Action,
  options: TellOptions,
  store: Store,
): Promise<void> {
  const { batch, accepted, duplicates, rejected } = submitted;
  if (options.json === true) printJson({ batch, action, accepted, duplicates, rejected });
  if (kind === 'running')
    say(`Batch ${batch}: ${count(accepted, 'certificate')} accepted. certsweep status ${batch} shows its progress.`);
  else say(`This manifest is already submitted, as batch ${batch}: nothing was added.`);
  if (options.wait === true) await waitForBatch(store, batch);
  // It runs, whether or not Redis tells who works on it.
  else for (const account of await unattendedOf(store, batch).catch(() => [])) say(describeUnattended(account));
}

/** Nobody should wait for what somebody else has to do. */
function sayAwaitsApproval(
  { batch, accepted, duplicates, rejected }: TakenIn,
  action: Action,
  options: TellOptions,
): void {
  if (options.json === true) printJson({ batch, action, accepted, duplicates, rejected, outcome: 'awaits-approval' });
  say(
    `Batch ${batch}: ${count(accepted, 'certificate')} stored. It runs once somebody else approves it (approvals.above), within 7 days. certsweep approve ${batch} shows how.`,
  );
  if (options.wait === true) process.exitCode = EXIT.refused;
}
