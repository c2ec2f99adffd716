import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import type { InventorySelectors, WantedPem } from '../app/inventory.ts';
import { exceptedIn, namesIn, SelectorFileFault } from '../app/selector-files.ts';
import type { Certificate } from '../core/certificate.ts';
import { REGISTERED_STATUSES, type RegisteredStatus } from '../core/registered.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { timeSpanMs } from './time-span.ts';

/** The options that select certificates of an instance. */
export interface SelectorOptions {
  readonly ca?: readonly string[];
  readonly status?: RegisteredStatus;
  readonly expiredFor?: string;
  readonly expiresWithin?: string;
  readonly names?: string;
  readonly pem?: readonly string[];
  readonly except?: string;
}

export function addSelectorOptions(command: Command): Command {
  return command
    .option('--ca <sn...>', 'only those of these CAs')
    .addOption(new Option('--status <s>', 'only these').choices(REGISTERED_STATUSES))
    .option('--expired-for <time>', 'only those that expired that long ago, or longer: 30d, 12h')
    .option('--expires-within <time>', 'only those that are valid now and expire within this time: 30d, 12h')
    .option('--names <file>', 'only devices with these names, one a line')
    .option('--pem <file...>', 'only the certificates in these PEM files')
    .option('--except <file>', 'none of the certificates of this manifest');
}

export interface ReadSelectors {
  readonly selectors: InventorySelectors;
  /** Stands for all that was asked for, the contents of the files included. */
  readonly asked: string;
}

/** @throws CommandEnd that names the option and what is wrong with its value */
export async function readSelectors(
  options: SelectorOptions,
  loadPem: (file: string, text: string) => WantedPem[] | string,
): Promise<ReadSelectors> {
  const { ca, status, expiredFor, expiresWithin, names, pem, except } = options;
  const selectors: InventorySelectors = {
    status,
    expiredForMs: duration('--expired-for', expiredFor),
    expiresWithinMs: duration('--expires-within', expiresWithin),
    names: names === undefined ? undefined : await readNames(names),
    pems: pem === undefined ? undefined : await readPems(pem, loadPem),
  };
  const exceptDigest = except === undefined ? undefined : await digestOf(except);
  const asked = createHash('sha256')
    .update(JSON.stringify([ca, selectors, exceptDigest]))
    .digest('hex');
  return { selectors, asked };
}

function duration(option: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : timeSpanMs(option, text);
}

async function readNames(path: string): Promise<string[]> {
  const names = namesIn(await readText('--names', path));
  if (names.length === 0) throw new CommandEnd(EXIT.usage, `--names ${path} has no name: write one a line.`);
  return names;
}

async function readPems(
  paths: readonly string[],
  loadPem: (file: string, text: string) => WantedPem[] | string,
): Promise<WantedPem[]> {
  const all: WantedPem[] = [];
  for (const path of paths) {
    const wanted = loadPem(path, await readText('--pem', path));
    if (typeof wanted === 'string') throw new CommandEnd(EXIT.usage, `--pem: ${wanted}.`);
    all.push(...wanted);
  }
  return all;
}

/** The certificates to leave out. @throws CommandEnd at the first bad row: to pass over it would be to let its certificate in */
export async function* readExcept(
  path: string | undefined,
  instanceId: string,
  cas: readonly string[],
): AsyncGenerator<Certificate, void, undefined> {
  if (path === undefined) return;
  try {
    yield* exceptedIn(path, instanceId, cas);
  } catch (error) {
    throw error instanceof SelectorFileFault
      ? new CommandEnd(EXIT.usage, `--except ${path}, ${error.message}. Correct the line.`)
      : error;
  }
}

async function readText(option: string, path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw cannotRead(option, path, error);
  });
}

async function digestOf(path: string): Promise<string> {
  const digest = createHash('sha256');
  try {
    for await (const bytes of createReadStream(path)) digest.update(bytes as Buffer);
  } catch (error) {
    throw cannotRead('--except', path, error as NodeJS.ErrnoException);
  }
  return digest.digest('hex');
}

function cannotRead(option: string, path: string, { code }: NodeJS.ErrnoException): CommandEnd {
  return new CommandEnd(EXIT.usage, `${option} ${path} cannot be read (${code}): check the path.`);
}
