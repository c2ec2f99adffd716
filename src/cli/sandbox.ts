import { createReadStream, createWriteStream } from 'node:fs';
import { access, constants, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { Option, type Command } from 'commander';
import { CLOUD_ACCOUNT_QPS, CLOUD_EGRESS_QPS } from '../core/pace.ts';
import { ManifestError } from '../manifest/fault.ts';
import { formatOf, readManifest } from '../manifest/read-manifest.ts';
import { keyVariablesOf, type Config } from '../runtime/config/config.ts';
import { environment } from '../runtime/environment.ts';
import { readSecret } from '../runtime/secret.ts';
import { onLeaveSignal } from '../runtime/shutdown.ts';
import type { SandboxAccount } from '../sandbox/accounts.ts';
import { demoPlan, parseFaultPlan, type FaultPlan } from '../sandbox/fault-plan.ts';
import { startSandbox, type Sandbox } from '../sandbox/sandbox.ts';
import type { Latency } from '../sandbox/seeded.ts';
import { cannotListen, CommandEnd, EXIT } from './exit.ts';
import { showSandbox } from './sandbox-screen.ts';
import type { NewCa, NewDevice } from '../sandbox/listed-registry.ts';
import { LISTING_ORDERS, type ListingOrder } from '../sandbox/listing-order.ts';
import { parseRegistryLine } from '../sandbox/registry-file.ts';
import { writeWhole } from './out-file.ts';
import { configOf, type CommonOptions } from './session.ts';
import { print, printJson, say } from './text/terminal.ts';
import { wholeNumber } from './whole-number.ts';

interface SandboxOptions extends CommonOptions {
  readonly port: string;
  readonly host: string;
  readonly registry?: string;
  readonly saveRegistry?: string;
  readonly order: ListingOrder;
  readonly devices?: string;
  readonly inactiveAgain?: string;
  readonly plan?: string;
  readonly latency?: string;
  readonly seed: string;
  readonly accountQps?: string;
  readonly egressQps?: string;
  readonly enforce: boolean;
  readonly journal?: string;
}

/** What the sandbox knows when the configuration names no account: keys that open nothing anywhere else. */
export const SANDBOX_ACCOUNT = {
  accessKeyId: 'sandbox-key-id',
  accessKeySecret: 'sandbox-key-secret',
  instances: ['post-cn-sandbox'],
} as const satisfies SandboxAccount;

export function addSandbox(program: Command): void {
  const known = SANDBOX_ACCOUNT;
  program
    .command('sandbox')
    .summary('a stand-in for the cloud, for rehearsals and staging')
    .description(
      `Answers as the API does, checks signatures, enforces both quotas, and fails as a plan says. It knows the accounts of the configuration, with their keys from the environment; without one, the instance ${known.instances[0]} with the key ${known.accessKeyId} and the secret ${known.accessKeySecret}. Point accounts.<name>.endpoint at it. GET /-/seen shows what it saw; it is also printed at the end. On a terminal it shows that while it runs.`,
    )
    .option('--port <n>', '0 takes a free one', '8787')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option(
      '--registry <manifest>',
      'only these certificates exist; without it, every one does until it is deleted. NDJSON may have names, dates and CAs',
    )
    .option('--save-registry <file>', 'at the end, write what exists, as NDJSON for --registry')
    .addOption(
      new Option('--order <o>', 'in which order certificates are listed').choices(LISTING_ORDERS).default('oldest'),
    )
    .option(
      '--devices <n>',
      'this many devices reconnect each second; a deleted one registers again under an active CA',
    )
    .option(
      '--inactive-again <code>',
      'refuse to inactivate an inactive certificate, or activate an active one, with this code; else accept it',
    )
    .option('--plan <file>', 'faults as JSON, or "demo" for a mixture of all kinds')
    .option('--latency <ms>', 'of every answer: a number, or lognormal:<median>:<p99>')
    .option('--seed <n>', 'the same seed gives the same faults and latencies', '1')
    .option('--account-qps <n>', "instead of the cloud's 500")
    .option('--egress-qps <n>', "instead of the cloud's 300")
    .addOption(new Option('--no-enforce', 'count calls over a quota, but let them through'))
    .option('--journal <file>', 'write every call as a line of JSON: arrival, address, serial number, nonce, effect')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action(async (options: SandboxOptions) => {
      const leave = onLeaveSignal();
      const seed = wholeNumber('--seed', options.seed);
      const { accountQps, egressQps, latency, devices, inactiveAgain, saveRegistry } = options;
      if (saveRegistry !== undefined && options.registry === undefined)
        throw new CommandEnd(EXIT.usage, '--save-registry needs --registry: without it, every certificate exists.');
      const journal = options.journal === undefined ? undefined : createWriteStream(options.journal);
      const port = wholeNumber('--port', options.port);
      const limits = {
        accountQps: accountQps === undefined ? CLOUD_ACCOUNT_QPS : wholeNumber('--account-qps', accountQps),
        egressQps: egressQps === undefined ? CLOUD_EGRESS_QPS : wholeNumber('--egress-qps', egressQps),
      };
      const sandbox = await startSandbox({
        port,
        host: options.host,
        accounts: accountsOf(await configOf(options)),
        registry: options.registry === undefined ? 'open' : readRegistry(options.registry),
        order: options.order,
        ...(devices !== undefined && { devicesPerSecond: wholeNumber('--devices', devices) }),
        ...(inactiveAgain !== undefined && { inactiveAgainCode: inactiveAgain }),
        plan: await readPlan(options.plan, seed),
        seed,
        enforce: options.enforce,
        limits,
        ...(latency !== undefined && { latency: parseLatency(latency) }),
        ...(journal !== undefined && { journal: (call) => void journal.write(`${JSON.stringify(call)}\n`) }),
      }).catch((error: unknown) => {
        if (error instanceof CommandEnd || error instanceof ManifestError) throw error;
        throw cannotListen('--port', port, error);
      });
      const end = process.stderr.isTTY ? showSandbox(sandbox, limits) : sayWhere(sandbox);
      // The screen says both to a person.
      const isData = !(process.stderr.isTTY && process.stdout.isTTY);
      if (isData) print(sandbox.url);
      await leave.wait;
      end();
      if (isData) printJson(sandbox.seen());
      await sandbox.close();
      if (saveRegistry !== undefined)
        await writeWhole(saveRegistry, 'The registry', Readable.from(sandbox.registryLines()));
      journal?.end();
      leave.forget();
    });
}

function sayWhere({ url }: Sandbox): () => void {
  say(`The sandbox listens on ${url}. Ctrl-C stops it and prints what it saw.`);
  return () => undefined;
}

function accountsOf(config: Config): SandboxAccount[] {
  if (config.accounts.length === 0) return [SANDBOX_ACCOUNT];
  return config.accounts.map((account) => {
    const { name, instances } = account;
    const variables = keyVariablesOf(account, environment);
    const accessKeyId = readSecret(environment, variables?.accessKeyIdEnv ?? 'ALIBABA_CLOUD_ACCESS_KEY_ID');
    const accessKeySecret = readSecret(environment, variables?.accessKeySecretEnv ?? 'ALIBABA_CLOUD_ACCESS_KEY_SECRET');
    const tokenName = variables?.securityTokenEnv;
    const securityToken = tokenName === undefined ? undefined : readSecret(environment, tokenName);
    if (accessKeyId === undefined || accessKeySecret === undefined) {
      throw new CommandEnd(
        EXIT.usage,
        `The sandbox needs a key for account ${name}, any key: set its environment variables to what the worker will have.`,
      );
    }
    return { accessKeyId, accessKeySecret, instances, ...(securityToken !== undefined && { securityToken }) };
  });
}

async function* readRegistry(path: string): AsyncGenerator<NewDevice | NewCa, void, undefined> {
  await access(path, constants.R_OK).catch((error: NodeJS.ErrnoException) => {
    throw new CommandEnd(EXIT.usage, `--registry ${path} cannot be read (${error.code}): check the path.`);
  });
  const format = formatOf(path);
  if (format === 'ndjson') {
    yield* readRegistryLines(path);
    return;
  }
  for await (const rows of readManifest(createReadStream(path), format === undefined ? {} : { format })) {
    for (const row of rows) {
      if (!row.ok) throw new CommandEnd(EXIT.usage, `${path}, line ${row.line}: ${row.reason}.`);
      yield row.certificate;
    }
  }
}

async function* readRegistryLines(path: string): AsyncGenerator<NewDevice | NewCa, void, undefined> {
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1;
    if (text.trim() === '') continue;
    const entry = parseRegistryLine(text);
    if (typeof entry === 'string') throw new CommandEnd(EXIT.usage, `${path}, line ${line}: ${entry}.`);
    yield entry;
  }
}

async function readPlan(path: string | undefined, seed: number): Promise<FaultPlan> {
  if (path === undefined) return { seed, faults: [] };
  if (path === 'demo') return demoPlan(seed);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CommandEnd(EXIT.usage, `--plan ${path} cannot be read (${error.code}).`);
  });
  const parsed = parseFaultPlan(parseJson(path, text));
  if (!parsed.ok) throw new CommandEnd(EXIT.usage, `--plan ${path}: ${parsed.message}.`);
  return parsed.plan;
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CommandEnd(EXIT.usage, `--plan ${path} is not JSON: ${error instanceof Error ? error.message : ''}.`);
  }
}

function parseLatency(text: string): Latency {
  const [, median, p99] = /^lognormal:(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (median !== undefined && p99 !== undefined)
    return { kind: 'lognormal', medianMs: Number(median), p99Ms: Number(p99) };
  return { kind: 'fixed', ms: wholeNumber('--latency', text) };
}
