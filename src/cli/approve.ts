import { count } from '../core/counting.ts';
import { Option, type Command } from 'commander';
import { approveBatch, awaitedApproval, type ApprovalOutcome } from '../app/approve.ts';
import { identify, type Identity } from '../app/identity.ts';
import { batchStatus } from '../app/overview.ts';
import { ACTIONS, DEFAULT_ACTION, type Action } from '../core/action.ts';
import type { Store } from '../app/store.ts';
import { tokenOf } from '../runtime/config/token.ts';
import { environment } from '../runtime/environment.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { CommandEnd, EXIT, noBatch } from './exit.ts';
import { reasonRequired } from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeRetire } from './text/status.ts';
import { printJson, say } from './text/terminal.ts';

interface ApproveOptions extends CommonOptions {
  readonly manifest?: string;
  readonly action: Action;
  readonly reason?: string;
  readonly json?: boolean;
}

export function addApprove(program: Command): void {
  program
    .command('approve')
    .summary('approve a large batch that somebody else submitted')
    .description(
      'Shows what waits for approval. With --manifest it approves it, with the token in CERTSWEEP_TOKEN or in the file that CERTSWEEP_TOKEN_FILE names. The token must be in http.tokens with the role approver, and must not be the one that submitted the batch.',
    )
    .argument('<batch>')
    .option('--manifest <hash>', 'approve this manifest: its SHA-256, as sha256sum prints it')
    .addOption(new Option('--action <action>', 'approve this action').choices(ACTIONS).default(DEFAULT_ACTION))
    .option('--reason <text>', 'kept on record')
    .option('--json', 'print one object')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      '\nExample:\n  CERTSWEEP_TOKEN_FILE=token certsweep approve <batch> \\\n    --manifest "$(sha256sum < manifest.csv | cut -c1-64)"',
    )
    .action((batch: string, options: ApproveOptions) =>
      withStore(options, (store) =>
        options.manifest === undefined
          ? show(store, batch, options)
          : approve(store, batch, { ...options, manifest: options.manifest }),
      ),
    );
}

async function show(store: Store, batch: string, { json }: ApproveOptions): Promise<void> {
  const awaited = await awaitedApproval(store, batch);
  if (awaited === undefined) throw await notAwaiting(store, batch);
  const { certificates, manifest, submittedBy } = awaited;
  const { action = DEFAULT_ACTION, retire } = (await batchStatus(store.ledger, batch)) ?? {};
  const how = retire === undefined ? '' : ` (${describeRetire(retire)})`;
  if (json === true) printJson({ batch, approved: false, action, ...(retire !== undefined && { retire }), ...awaited });
  else
    say(
      `Batch ${batch} would ${action} ${count(certificates, 'device certificate')}${how}, submitted by ${submittedBy ?? 'somebody without a token'}. To approve it: certsweep approve ${batch} --manifest ${manifest}${action === DEFAULT_ACTION ? '' : ` --action ${action}`}`,
    );
}

async function approve(
  store: Store,
  batch: string,
  { manifest, action, reason, json }: ApproveOptions & { readonly manifest: string },
): Promise<void> {
  const request = { batch, manifest, action, ...(reason !== undefined && { reason }) };
  const result = await approveBatch(store, whoIs(store), request);
  if (result.kind !== 'running') throw await refusal(store, batch, result);
  if (json === true) printJson({ batch, approved: true });
  say(`Batch ${batch} is approved and runs. certsweep status ${batch} shows its progress.`);
}

function whoIs({ config }: Store): Identity {
  const token = tokenOf(environment);
  if (token === undefined) {
    throw new CommandEnd(
      EXIT.usage,
      'Put the token of an approver into CERTSWEEP_TOKEN, or name its file in CERTSWEEP_TOKEN_FILE.',
    );
  }
  const who = identify(config.http.tokens, token);
  if (who !== undefined) return who;
  throw new CommandEnd(
    EXIT.refused,
    `The token in CERTSWEEP_TOKEN is not in http.tokens of ${config.source}: use another, or add it there.`,
  );
}

async function refusal(
  store: Store,
  batch: string,
  result: Exclude<ApprovalOutcome, { readonly kind: 'running' }>,
): Promise<CommandEnd> {
  const refused = (why: string): CommandEnd => new CommandEnd(EXIT.refused, `${why} Nothing was touched.`);
  switch (result.kind) {
    case 'no-batch':
    case 'not-awaiting':
      return notAwaiting(store, batch);
    case 'reason-required':
      return reasonRequired();
    case 'own':
      return refused('The token that submitted a batch may not approve it: ask somebody else to do it.');
    case 'forbidden':
      return refused(
        'This token may not approve this batch: it needs the role approver, and the accounts of the batch.',
      );
    case 'other-action':
      return refused(
        `The batch would ${result.action} its certificates. If you mean that, add --action ${result.action}.`,
      );
    case 'other-manifest':
      return refused(`The batch has another manifest, ${result.awaited.manifest}: check what you approve.`);
    case 'at-work':
      return refused(`The same manifest is already submitted, as batch ${result.batch}.`);
    case 'gone':
      return refused('Redis has lost a part of the batch: submit it again.');
    case 'unknown':
      return new CommandEnd(
        EXIT.unknown,
        `${describeRedisError(result.error)}. The batch may run, now or later: certsweep status ${batch} shows it.`,
      );
  }
}

async function notAwaiting(store: Store, batch: string): Promise<CommandEnd> {
  const found = await store.ledger.batches.find(batch);
  if (found === undefined) return noBatch(batch, store.where);
  return new CommandEnd(EXIT.refused, `Batch ${batch} is ${found.state}: it does not wait for approval.`);
}
