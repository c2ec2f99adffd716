import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { connect } from '../../src/runtime/redis/connection.ts';
import { readPassword, readRecord } from '../../src/runtime/redis/embedded/data-directory.ts';
import { openRedis, type OpenRedis } from '../../src/runtime/redis/open-redis.ts';
import { socketOf } from '../../src/runtime/redis/embedded/private-socket.ts';
import { isAlive } from '../../src/runtime/redis/embedded/process-identity.ts';
import {
  runCommand,
  startCommand,
  type CommandOptions,
  type EndingCommand,
  type Ended,
  type RunningCommand,
} from './command.ts';

/** A user's folder: a configuration, a data directory with its own embedded Redis, and the commands run on them. */
export interface Installation {
  readonly folder: string;
  /** Not there before a command makes it. */
  readonly dataDir: string;
  /** Writes the configuration; `dataDir` is in it already. @returns its path */
  configure(settings: object, name?: string): Promise<string>;
  /** Writes a file into the folder. @returns its path */
  file(name: string, text: string): Promise<string>;
  /** Runs a command to its end; it reads `certsweep.yaml` of the folder. */
  run(args: readonly string[], options?: CommandOptions): Promise<Ended>;
  start(args: readonly string[], options?: CommandOptions): RunningCommand;
  /** Starts the embedded Redis and keeps it up, where what matters is not how each command starts and stops it. */
  holdRedis(): Promise<void>;
  /** A connection to the embedded Redis that runs. */
  redis(): Promise<Redis>;
  /** Of the embedded Redis; undefined when none runs. */
  serverPid(): Promise<number | undefined>;
  /** Ends every command and the embedded Redis, whatever state they are in, and removes the folder. */
  remove(): Promise<void>;
}

/** The variables that hold the account's key. */
export const KEY_ENV = {
  accessKeyIdEnv: 'FLEET_KEY_ID',
  accessKeySecretEnv: 'FLEET_KEY_SECRET',
} as const;

export const INSTANCE = 'post-cn-fleet';
export const ACCOUNT_KEY = { accessKeyId: 'fleet-key-id', accessKeySecret: 'fleet-key-secret' } as const;

/** Settings with one account, `fleet`, that calls nobody unless an endpoint is given. */
export function settingsOf(endpoint = 'http://127.0.0.1:1', changes: object = {}): object {
  return {
    accounts: { fleet: { endpoint, instances: [INSTANCE], credentials: KEY_ENV } },
    ...changes,
  };
}

/**
 * Makes the folder; nothing is started.
 * @param variables - of the environment of each command, beside the account's key
 */
export async function openInstallation(
  settings: object = settingsOf(),
  variables: Readonly<Record<string, string>> = {},
): Promise<Installation> {
  const folder = await mkdtemp(join(tmpdir(), 'certsweep-e2e-'));
  const dataDir = join(folder, 'data');
  const directory = join(dataDir, 'redis');
  const commands: EndingCommand[] = [];
  const clients: Redis[] = [];
  const held: OpenRedis[] = [];

  const optionsOf = (options: CommandOptions = {}): CommandOptions => ({
    ...options,
    env: {
      CERTSWEEP_CONFIG: join(folder, 'certsweep.yaml'),
      XDG_STATE_HOME: join(folder, 'state'),
      FLEET_KEY_ID: ACCOUNT_KEY.accessKeyId,
      FLEET_KEY_SECRET: ACCOUNT_KEY.accessKeySecret,
      ...variables,
      ...options.env,
    },
  });

  const installation: Installation = {
    folder,
    dataDir,
    configure: (content, name = 'certsweep.yaml') =>
      // JSON is YAML.
      installation.file(name, JSON.stringify({ dataDir, ...content })),
    async file(name, text) {
      const path = join(folder, name);
      await writeFile(path, text);
      return path;
    },
    run(args, options) {
      const command = runCommand(args, optionsOf(options));
      commands.push(command);
      return command.ended;
    },
    start(args, options) {
      const command = startCommand(args, optionsOf(options));
      commands.push(command);
      return command;
    },
    async holdRedis() {
      held.push(await openRedis({ dataDir }, () => undefined));
    },
    async redis() {
      const record = await readRecord(directory);
      if (record === undefined) throw new Error('no embedded Redis has been started here');
      const where = { options: { path: socketOf(directory), password: await readPassword(directory) } };
      const client = connect(where, 'producer', () => undefined);
      clients.push(client);
      return client;
    },
    async serverPid() {
      const server = existsSync(directory) ? (await readRecord(directory))?.process : undefined;
      return server !== undefined && (await isAlive(server)) ? server.pid : undefined;
    },
    async remove() {
      for (const command of commands) command.kill('SIGKILL');
      await Promise.all(commands.map(({ ended }) => ended));
      for (const client of clients) client.disconnect();
      await Promise.all(held.map((redis) => redis.close()));
      const pid = await installation.serverPid();
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
  await installation.configure(settings);
  return installation;
}
