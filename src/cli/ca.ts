import { Option, type Command } from 'commander';
import type { CaAction, CaChangeOutcome, CaSnapshot } from '../app/ca-change.ts';
import { printable } from '../core/printable.ts';
import type { OpenStore } from '../app/store.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { accountFor, stopped, untilLeave } from './cloud.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { addMotive, ask, isOnTerminal, motiveOf, reasonRequired, type MotiveOptions } from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { ACTIONS, describeCa, describeCas, describeChange, describeCaNow, noCa, questionOf } from './text/cas.ts';
import { printJson, printText, say } from './text/terminal.ts';

interface CaOptions extends CommonOptions {
  readonly json?: boolean;
}

interface ChangeOptions extends CaOptions, MotiveOptions {
  readonly execute?: boolean;
  readonly yes?: boolean;
  readonly confirm?: string;
}

const CONFIG = ['--config <file>', 'configuration; else CERTSWEEP_CONFIG'] as const;

export function addCa(program: Command): void {
  const ca = program.command('ca').summary('the CAs of an instance: list, show or change them').helpCommand(false);
  ca.command('list')
    .description('Lists the CAs of an instance. It changes nothing.')
    .argument('<instance>')
    .option('--json', 'print one array: caSn, name, status, validBegin, validEnd of each')
    .option(...CONFIG)
    .addHelpText('after', '\nExample:\n  certsweep ca list post-cn-xxx')
    .action((instanceId: string, options: CaOptions) =>
      withStore(options, (store) => list(store, instanceId, options)),
    );
  ca.command('show')
    .description('Shows a CA and counts its certificates, by a walk over their listing. It changes nothing.')
    .argument('<instance>')
    .argument('<sn>', 'serial number of the CA')
    .option('--json', 'print one object: what list prints of it, and certificates')
    .option(...CONFIG)
    .addHelpText('after', '\nExample:\n  certsweep ca show post-cn-xxx 007269004887')
    .action((instanceId: string, caSn: string, options: CaOptions) =>
      withStore(options, (store) => show(store, instanceId, caSn, options)),
    );
  for (const action of ['inactivate', 'activate', 'delete'] as const) addChange(ca, action);
}

function addChange(ca: Command, action: CaAction): void {
  const { description, yes, example } = ACTIONS[action];
  const command = ca
    .command(action)
    .description(description)
    .argument('<instance>')
    .argument('<sn>', 'serial number of the CA')
    .option('--execute', 'do it; without this, only show what would change');
  if (action === 'delete')
    command.addOption(
      new Option(
        '--confirm <sn:n>',
        'confirm the serial number and the number of its certificates without being asked',
      ),
    );
  addMotive(command.option('--yes', yes))
    .option('--json', 'print one object: instanceId, caSn, action, certificates, requestId')
    .option(...CONFIG)
    .addHelpText(
      'after',
      `\nExample:\n${example}\n\nExit code: 3 when it was refused or not confirmed, 4 when it is not known\nwhether it was done.`,
    )
    .action((instanceId: string, caSn: string, options: ChangeOptions) =>
      withStore(options, (store) => change(store, { instanceId, caSn, action }, options)),
    );
}

async function list(store: OpenStore, instanceId: string, { json = false }: CaOptions): Promise<void> {
  const account = accountFor(store.config, instanceId);
  // Loaded here: BullMQ and the SDK take half a second, which no other command should pay.
  const { listCas } = await import('../app/cas.ts');
  const end = await untilLeave((signal) => listCas(store, account, instanceId, signal));
  if (end.kind !== 'listed')
    throw stopped(end, account.name, { what: 'listing', grant: 'mq:ListCaCertificate', next: 'run this again' });
  const { cas, isMoved, unreadable } = end;
  if (json) printJson(cas);
  else if (cas.length > 0) printText(describeCas(cas));
  if (cas.length === 0) say(`${instanceId} has no CA.`);
  if (isMoved)
    say(
      'The listing changed its order while it was read, or ended before its own total. Some CAs may be missing: run this again.',
    );
  if (unreadable > 0) say(`Left out, because their serial number cannot be used: ${unreadable}.`);
}

async function show(store: OpenStore, instanceId: string, caSn: string, { json = false }: CaOptions): Promise<void> {
  const account = accountFor(store.config, instanceId);
  const { showCa } = await import('../app/cas.ts');
  const end = await untilLeave((signal) => showCa(store, account, { instanceId, caSn }, signal));
  switch (end.kind) {
    case 'shown':
      if (json) printJson({ ...end.ca, certificates: end.certificates });
      else printText(describeCa(end.ca, end.certificates));
      return;
    case 'no-ca':
      throw new CommandEnd(EXIT.usage, noCa(instanceId, caSn));
    case 'moved':
      throw moved();
    case 'refused':
    case 'halted':
    case 'closed':
      throw stopped(end, account.name, { what: 'read of the CA', grant: READS, next: 'run this again' });
  }
}

const READS = 'mq:GetCaCertificate and mq:ListDeviceCertificateByCaSn';

interface Asked {
  readonly instanceId: string;
  readonly caSn: string;
  readonly action: CaAction;
}

async function change(store: OpenStore, asked: Asked, options: ChangeOptions): Promise<void> {
  const { execute = false, yes = false } = options;
  if (!execute && (yes || options.confirm !== undefined))
    throw new CommandEnd(
      EXIT.usage,
      `Without --execute nothing is changed: --yes and --confirm have no effect. Add --execute to ${asked.action} the CA.`,
    );
  const account = accountFor(store.config, asked.instanceId);
  const { changeCa, wordFor } = await import('../app/ca-change.ts');
  const confirm = (snapshot: CaSnapshot): Promise<{ typed: string } | 'yes'> => {
    say(describeCaNow(asked, snapshot));
    return answerOf(asked, wordFor(asked.action, snapshot), options);
  };
  const end = await untilLeave((signal) =>
    changeCa(store, account, { ...asked, motive: motiveOf(options), ...(execute && { confirm }) }, signal),
  );
  conclude(end, asked, account, options, wordFor);
}

/** What the operator says, on the command line or when asked. */
async function answerOf(
  { action }: Asked,
  word: string,
  { yes = false, confirm }: ChangeOptions,
): Promise<{ typed: string } | 'yes'> {
  if (confirm !== undefined) return { typed: confirm };
  if (yes && action !== 'delete') return 'yes';
  if (!isOnTerminal())
    throw new CommandEnd(
      EXIT.refused,
      `There is no terminal to ask on: add ${action === 'delete' ? `--confirm ${word}: --yes is not enough` : '--yes'}. Nothing was touched.`,
    );
  return { typed: await ask(questionOf(action)) };
}

function conclude(
  end: CaChangeOutcome,
  asked: Asked,
  account: AccountConfig,
  { json = false, confirm }: ChangeOptions,
  wordFor: typeof import('../app/ca-change.ts').wordFor,
): void {
  const { instanceId, caSn, action } = asked;
  switch (end.kind) {
    case 'preview':
    case 'already':
    case 'changed': {
      const { certificates } = end;
      const requestId = end.kind === 'changed' ? end.requestId : null;
      if (json) printJson({ instanceId, caSn, action, certificates, requestId });
      if (end.kind === 'preview') say(describeCaNow(asked, end));
      say(describeChange(asked, end));
      return;
    }
    case 'no-ca':
      throw new CommandEnd(EXIT.usage, noCa(instanceId, caSn));
    case 'unconfirmed': {
      const said = confirm === undefined ? 'That' : `--confirm ${printable(confirm)}`;
      throw new CommandEnd(EXIT.refused, `${said} is not ${printable(wordFor(action, end))}. Nothing was touched.`);
    }
    case 'other-number':
      throw new CommandEnd(
        EXIT.refused,
        `The CA has ${end.now} certificates now, not ${end.asked}: check them, and confirm the new number. Nothing was touched.`,
      );
    case 'moved':
      throw moved();
    case 'reason-required':
      throw reasonRequired();
    case 'unknown':
      throw new CommandEnd(
        EXIT.unknown,
        `It is not known whether it was done (${printable(`${end.code}: ${end.message}`)}): certsweep ca show ${instanceId} ${caSn} shows the CA as it is now.`,
      );
    case 'refused':
    case 'halted':
    case 'closed':
      throw stopped(end, account.name, {
        what: `call to ${action} the CA, or a read before it,`,
        grant: `${ACTIONS[action].permission}, ${READS}`,
        next: 'run this again',
      });
  }
}

function moved(): CommandEnd {
  return new CommandEnd(
    EXIT.refused,
    'The certificates of the CA could not be counted: their listing changed its order while it was read, or ended before its own total. Run this again. Nothing was touched.',
  );
}
