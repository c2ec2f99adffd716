import type { Redis } from 'ioredis';

/** What became of a command. `refused`: Redis has certainly not done it. `unknown`: it has, or may yet, or never will. */
export type CommandResult<Reply> =
  | { readonly kind: 'done'; readonly reply: Reply }
  | { readonly kind: 'refused'; readonly error: unknown }
  | { readonly kind: 'unknown'; readonly error: unknown };

/** How often a client's connection came up and was lost, since it was first asked for. */
interface Connection {
  ups: number;
  losses: number;
}

/** One for each client: listeners for each command would be too many. */
const connections = new WeakMap<Redis, Connection>();

/**
 * Sends a command and tells its outcome. The client sends it again by itself when the connection is back within its timeout, so the command must
 * be one that may be done twice.
 */
export async function resultOf<Reply>(redis: Redis, command: () => Promise<Reply>): Promise<CommandResult<Reply>> {
  const connection = connectionOf(redis);
  const before = { ...connection };
  const wasUp = redis.status === 'ready';
  try {
    return { kind: 'done', reply: await command() };
  } catch (error) {
    // The client gives up waiting, not the command: that stays in line, and leaves when the connection is back.
    const mayLeaveYet = error instanceof Error && error.message === 'Command timed out';
    const mayHaveLeft = wasUp || connection.ups > before.ups || mayLeaveYet;
    // After a loss, Redis' reply is to the second sending only.
    const isRefused = error instanceof Error && error.name === 'ReplyError' && connection.losses === before.losses;
    return { kind: isRefused || !mayHaveLeft ? 'refused' : 'unknown', error };
  }
}

function connectionOf(redis: Redis): Connection {
  const known = connections.get(redis);
  if (known !== undefined) return known;
  const connection = { ups: 0, losses: 0 };
  connections.set(redis, connection);
  const isLost = (): void => void (connection.losses += 1);
  redis.on('ready', () => void (connection.ups += 1));
  // Of a single server, and of a node of a cluster.
  redis.on('close', isLost).on('-node', isLost);
  return connection;
}
