import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { vi } from 'vitest';
import { locateServer } from '../../src/runtime/redis/embedded/locate.ts';
import { serverEnvironment, type ServerBinary } from '../../src/runtime/redis/embedded/server-binary.ts';
import { freePort } from './free-port.ts';

/** One server of a topology, on loopback. */
export interface TopologyServer {
  readonly port: number;
  /** `host:port`. */
  readonly node: string;
  /** For the test's own questions; it does not reconnect. */
  readonly client: Redis;
  /** Takes it away without a warning; resolves when its process is gone. */
  kill(): Promise<void>;
  /** It hangs from now on: its connections stay, and nothing is answered. */
  freeze(): void;
}

/** A primary, its replica and three Sentinels that replace it after a second. */
export interface SentinelTopology {
  readonly name: string;
  readonly primary: TopologyServer;
  readonly replica: TopologyServer;
  /** Of the Sentinels. */
  readonly nodes: readonly string[];
  /** The replica copies nothing from now on, while the primary goes on answering: what it acknowledges is lost with it. */
  cutReplication(): Promise<void>;
  /** Ends every process and removes its folder. */
  stop(): Promise<void>;
}

/** Three primaries, each with a third of the slots, and a replica of the one that holds our keys. */
export interface ClusterTopology {
  readonly nodes: readonly string[];
  /** The one that holds our keys. */
  readonly owner: TopologyServer;
  readonly others: readonly TopologyServer[];
  /** Ends every process and removes its folder. */
  stop(): Promise<void>;
}

const SLOTS = 16_384;
/** Where a node's bus listens, above its port. */
const BUS_OFFSET = 10_000;
const SETTLES_WITHIN = { timeout: 60_000, interval: 50 };
const DURABLE = ['--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction'];

export async function startSentinels(): Promise<SentinelTopology> {
  const yard = await openYard();
  const name = 'certsweep.primary';
  try {
    const primary = await yard.start([...DURABLE, '--repl-diskless-sync-delay', '0']);
    const replica = await yard.start([...DURABLE, '--replicaof', '127.0.0.1', String(primary.port)]);
    // Sentinels look for replicas every ten seconds; the first look must find it.
    await vi.waitFor(() => saysInfo(replica, /master_link_status:up/), SETTLES_WITHIN);
    const settings = [
      `sentinel monitor ${name} 127.0.0.1 ${primary.port} 2`,
      `sentinel down-after-milliseconds ${name} 1000`,
      `sentinel failover-timeout ${name} 5000`,
    ];
    const sentinels = [
      await yard.start(['--sentinel'], settings),
      await yard.start(['--sentinel'], settings),
      await yard.start(['--sentinel'], settings),
    ];
    await vi.waitFor(async () => {
      for (const { client } of sentinels) {
        const known = (await client.call('SENTINEL', 'MASTER', name)) as string[];
        const count = (field: string): string | undefined => known[known.indexOf(field) + 1];
        if (count('num-slaves') !== '1' || count('num-other-sentinels') !== '2')
          throw new Error('they do not know each other yet');
      }
    }, SETTLES_WITHIN);
    return {
      name,
      primary,
      replica,
      nodes: sentinels.map(({ node }) => node),
      async cutReplication() {
        await primary.client.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
        await primary.client.call('CLIENT', 'KILL', 'TYPE', 'replica');
        await vi.waitFor(() => saysInfo(replica, /master_link_status:down/), SETTLES_WITHIN);
      },
      stop: () => yard.close(),
    };
  } catch (error) {
    await yard.close();
    throw error;
  }
}

/**
 * One server without any other.
 * @param login - of the test's own connection, where the arguments take the default user away
 */
export async function startSingle(
  args: readonly string[] = [],
  login?: Login,
): Promise<TopologyServer & { stop(): Promise<void> }> {
  const yard = await openYard();
  return { ...(await yard.start(args, [], login)), stop: () => yard.close() };
}

/** @param key - one of our keys */
export async function startCluster(key: string): Promise<ClusterTopology> {
  const yard = await openYard();
  const startNode = (): Promise<TopologyServer> =>
    yard.start([...DURABLE, '--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']);
  try {
    const servers = [await startNode(), await startNode(), await startNode()] as const;
    const [first] = servers;
    const slot = Number(await first.client.call('CLUSTER', 'KEYSLOT', key));
    for (const [share, { client, port }] of servers.entries()) {
      const [from, to] = [share, share + 1].map((third) => Math.floor((third * SLOTS) / 3)) as [number, number];
      // Slot by slot, since ranges came with Redis 7.
      await client.call('CLUSTER', 'ADDSLOTS', ...Array.from({ length: to - from }, (_, at) => String(from + at)));
      if (share > 0) await first.client.call('CLUSTER', 'MEET', '127.0.0.1', String(port));
    }
    const [owner] = servers.slice(Math.floor((slot * 3) / SLOTS));
    if (owner === undefined) throw new Error(`nobody has the slot ${slot}`);
    const replica = await startNode();
    await first.client.call('CLUSTER', 'MEET', '127.0.0.1', String(replica.port));
    const ownerId = String(await owner.client.call('CLUSTER', 'MYID'));
    // Refused until it has heard of its primary.
    await vi.waitFor(() => replica.client.call('CLUSTER', 'REPLICATE', ownerId), SETTLES_WITHIN);
    await vi.waitFor(() => saysInfo(replica, /master_link_status:up/), SETTLES_WITHIN);
    await vi.waitFor(async () => {
      for (const { client } of [...servers, replica]) {
        const [info, nodes] = [
          String(await client.call('CLUSTER', 'INFO')),
          String(await client.call('CLUSTER', 'NODES')),
        ];
        const isWhole = /cluster_state:ok/.test(info) && /cluster_known_nodes:4/.test(info) && /slave/.test(nodes);
        if (!isWhole) throw new Error(`not whole yet: ${info}${nodes}`);
      }
    }, SETTLES_WITHIN);
    const others = servers.filter((server) => server !== owner);
    return { nodes: servers.map(({ node }) => node), owner, others, stop: () => yard.close() };
  } catch (error) {
    await yard.close();
    throw error;
  }
}

type Login = Pick<RedisOptions, 'username' | 'password'>;

/** A folder with servers in it. */
interface Yard {
  /** @param settings - lines of a configuration file that the server may rewrite */
  start(args: readonly string[], settings?: readonly string[], login?: Login): Promise<TopologyServer>;
  close(): Promise<void>;
}

async function openYard(): Promise<Yard> {
  const binary = await locateServer(undefined, () => undefined);
  const folder = await mkdtemp(join(tmpdir(), 'certsweep-topology-'));
  const children: ChildProcess[] = [];
  const clients: Redis[] = [];
  return {
    async start(args, settings = [], login = {}) {
      const port = await freePort(BUS_OFFSET);
      const home = join(folder, String(port));
      await mkdir(home);
      const file = join(home, 'redis.conf');
      await writeFile(file, [...settings, ''].join('\n'));
      const log = join(home, 'log');
      const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', home, '--logfile', log];
      const child = spawnServer(binary, [file, ...where, ...args]);
      children.push(child);
      const client = await untilItAnswers(child, { port, ...login }, log);
      clients.push(client);
      return {
        port,
        node: `127.0.0.1:${port}`,
        client,
        kill: () => end(child),
        freeze: () => void child.kill('SIGSTOP'),
      };
    },
    async close() {
      for (const client of clients) client.disconnect();
      await Promise.all(children.map(end));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function spawnServer(binary: ServerBinary, args: readonly string[]): ChildProcess {
  // A group of its own: Ctrl-C must not end it before the test has.
  return spawn(binary.path, args, { detached: true, stdio: 'ignore', env: serverEnvironment(binary.libraryPath) });
}

async function untilItAnswers(
  child: ChildProcess,
  where: Login & { readonly port: number },
  log: string,
): Promise<Redis> {
  return vi.waitFor(async () => {
    if (child.exitCode !== null) throw new Error(`redis-server ended: ${await readFile(log, 'utf8').catch(() => '')}`);
    const client = new Redis({ ...where, lazyConnect: true, retryStrategy: null, enableReadyCheck: false });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.ping();
      return client;
    } catch (error) {
      client.disconnect();
      throw error;
    }
  }, SETTLES_WITHIN);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function saysInfo({ client }: TopologyServer, pattern: RegExp): Promise<void> {
  const info = await client.info();
  if (!pattern.test(info)) throw new Error(`INFO does not say ${String(pattern)} yet`);
}
