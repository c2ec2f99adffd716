import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { Option, type Command } from 'commander';
import type { InventoryEnd, InventoryFormat } from '../app/inventory.ts';
import type { OpenStore } from '../app/store.ts';
import type { Certificate } from '../core/certificate.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { accountFor, stopped, untilLeave } from './cloud.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { fileTrouble } from './out-file.ts';
import { addSelectorOptions, readExcept, readSelectors, type SelectorOptions } from './selectors.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeInventory } from './text/inventory.ts';
import { printJson, say } from './text/terminal.ts';

interface InventoryOptions extends CommonOptions, SelectorOptions {
  readonly format: InventoryFormat;
  readonly out?: string;
  readonly json?: boolean;
  readonly resume?: boolean;
}

export function addInventory(program: Command): void {
  const command = program
    .command('inventory')
    .summary('the certificates that the cloud has, as a manifest')
    .description(
      'Reads the listing of an instance, or of some of its CAs, and writes a manifest for submit. It changes nothing. Its calls keep the pace of the account; while a batch is running they take at most a quarter of it.',
    )
    .argument('<instance>');
  addSelectorOptions(command)
    .addOption(new Option('--format <f>').choices(['csv', 'ndjson']).default('csv'))
    .option('--out <file>', 'write to a file, which appears only when it is complete')
    .option('--resume', 'continue an inventory that was cut off, from what --out has')
    .option('--json', 'print one object: instance, certificates, state, stepsBack, calls')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      `
Example: what has been expired for a month
  certsweep inventory post-cn-xxx --expired-for 30d --out expired.csv
  certsweep submit expired.csv

Exit code: 1 when a name or a PEM was not found, 3 when the cloud refused.`,
    )
    .action((instanceId: string, options: InventoryOptions) =>
      withStore(options, (store) => inventory(store, instanceId, options)),
    );
}

async function inventory(store: OpenStore, instanceId: string, options: InventoryOptions): Promise<void> {
  const account = accountFor(store.config, instanceId);
  const { out, json = false } = options;
  if (options.resume === true && out === undefined)
    throw new CommandEnd(EXIT.usage, '--resume needs the --out of the inventory that was cut off.');
  // Loaded here: BullMQ and the SDK take half a second, which no other command should pay.
  const app = await import('../app/inventory.ts');
  const { selectors, asked: selected } = await readSelectors(options, app.wantedIn);
  const { ca: cas = [], format } = options;
  const asked = createHash('sha256')
    .update(JSON.stringify([instanceId, format, selected]))
    .digest('hex');
  const found = options.resume === true && out !== undefined ? await app.unfinished(out, asked) : undefined;
  if (found === 'another')
    throw new CommandEnd(
      EXIT.usage,
      `${out} belongs to another inventory: give the same options as then, or start over without --resume.`,
    );
  const from = found === 'none' ? undefined : found;
  if (found === 'none') say('There is no earlier inventory to continue: this one starts from the beginning.');
  async function* except(): AsyncGenerator<Certificate, void, undefined> {
    yield* readExcept(options.except, instanceId, cas);
    if (out !== undefined && from !== undefined) yield* app.writtenBefore(out, format, from.written.bytes);
  }
  const sink = await openSink(app, options, from?.written.bytes ?? 0);
  const request = { instanceId, cas, selectors, except: except(), asked, nowMs: Date.now(), from, sink };
  const keep = out === undefined ? () => Promise.resolve() : app.keeperOf(out);
  const end = await untilLeave((signal) => app.inventoryOf(store, account, { ...request, keep }, signal)).catch(
    (error: unknown) => {
      const code = out === undefined ? undefined : fileTrouble(error, out);
      throw code === undefined
        ? error
        : new CommandEnd(
            EXIT.refused,
            `${out} cannot be written (${code}): make room and run this again with --resume, or choose another place with --out.`,
          );
    },
  );
  conclude(end, instanceId, { ...(out !== undefined && { out }), json, account });
}

type App = typeof import('../app/inventory.ts');

/** @throws CommandEnd where the file cannot be written */
async function openSink(app: App, { out, json, format }: InventoryOptions, from: number): ReturnType<App['fileSink']> {
  if (out !== undefined)
    return app.fileSink(out, format, from).catch((error: NodeJS.ErrnoException) => {
      throw new CommandEnd(EXIT.refused, `${out} cannot be written (${error.code}): choose another place with --out.`);
    });
  if (json === true) return app.NO_SINK;
  const write = async (text: string): Promise<void> => {
    if (!process.stdout.write(text)) await once(process.stdout, 'drain');
  };
  return app.textSink(format, write);
}

function conclude(
  end: InventoryEnd,
  instanceId: string,
  { out, json, account }: { readonly out?: string; readonly json: boolean; readonly account: AccountConfig },
): void {
  if (end.kind !== 'done') {
    const isKept = out !== undefined;
    throw stopped(end, account.name, {
      what: 'listing',
      grant: 'mq:ListDeviceCertificate, and for --ca mq:ListDeviceCertificateByCaSn',
      next: isKept ? 'run this again with --resume' : 'run this again',
    });
  }
  const { certificates, state, stepsBack, calls, isCutShort, notFound, ambiguous } = end.inventory;
  const rare = isCutShort && { cutShort: true };
  if (json) printJson({ instance: instanceId, certificates, state, stepsBack, calls, ...rare });
  say(describeInventory(end.inventory, instanceId, out));
  if (notFound.length + ambiguous.length > 0) process.exitCode = EXIT.someDead;
}
