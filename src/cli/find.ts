import type { Command } from 'commander';
import type { LiveReading } from '../app/find-live.ts';
import { findDevice, type DeviceSearch } from '../app/find.ts';
import type { OpenStore } from '../app/store.ts';
import { describeFault, parseCertificate } from '../core/certificate.ts';
import { outOfReach, stopped, untilLeave } from './cloud.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeFound, describeLost, describeSearch } from './text/find.ts';
import { printJson, printText, say } from './text/terminal.ts';

interface FindOptions extends CommonOptions {
  readonly json?: boolean;
  readonly live?: boolean;
}

export function addFind(program: Command): void {
  program
    .command('find')
    .summary('what happened to a device, in all batches')
    .description(
      'Searches every batch for a serial number, direct batches included: what was done, how it ended, when, who asked for it and why. The newest batch comes first.',
    )
    .argument('<deviceSn>', 'exactly as it is, leading zeros included')
    .option('--live', 'ask the cloud as well whether it is registered now')
    .option(
      '--json',
      'print one array: batch, n, action, outcome (null while pending), code, requestId, settledAt, requestedBy, reason; with --live also live (null where the cloud did not say)',
    )
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      `
Example: was this device revoked, on whose request, and is it back?
  certsweep find 00ff5ad1 --live

Exit code: 0 even if no batch has it; 3 when Redis has lost a part of what must\nbe searched, or --live got no answer.`,
    )
    .action((deviceSn: string, options: FindOptions) => {
      // The other two fields are anything that is no fault.
      const parsed = parseCertificate({ instanceId: '-', caSn: '-', deviceSn });
      if (!parsed.ok) throw new CommandEnd(EXIT.usage, `${describeFault(parsed.fault)}: no batch can have it.`);
      return withStore(options, (store) => find(store, deviceSn, options));
    });
}

async function find(store: OpenStore, deviceSn: string, { json = false, live = false }: FindOptions): Promise<void> {
  const search = await findDevice(store, deviceSn);
  const statuses = live ? await askCloud(store, search) : undefined;
  if (json) {
    printJson(
      search.found.map(({ certificate, ...item }) => ({
        ...item,
        ...(statuses !== undefined && { live: statuses.statusOf(certificate) }),
      })),
    );
  } else for (const one of search.found) printText(describeFound(one, statuses?.statusOf(one.certificate)));
  say(describeSearch(search, deviceSn, store.where));
  if (search.notWhole.length > 0) throw new CommandEnd(EXIT.refused, describeLost(search));
  for (const failure of statuses?.troubles ?? []) {
    const end =
      failure.kind === 'no-account' || failure.kind === 'no-key'
        ? outOfReach(failure)
        : stopped(failure, failure.account, {
            what: 'read of the certificate',
            grant: 'mq:GetDeviceCertificate',
            next: 'run this again',
          });
    say(end.message);
    process.exitCode = end.code === EXIT.interrupted ? EXIT.interrupted : EXIT.refused;
  }
}

async function askCloud(store: OpenStore, { found }: DeviceSearch): Promise<LiveReading> {
  // Loaded here: BullMQ and the SDK take half a second, which nobody should pay who does not ask the cloud.
  const { readLive } = await import('../app/find-live.ts');
  const certificates = found.map(({ certificate }) => certificate);
  return untilLeave((signal) => readLive(store, certificates, signal));
}
