import { RedisUnavailable } from '../redis/describe-error.ts';
import { readCa } from '../redis/encryption.ts';
import type { RedisPlace } from '../redis/open-redis.ts';
import { fileVariableOf, readSecret, SecretUnreadable } from '../secret.ts';
import type { Config, Environment } from './config.ts';
import { REDIS_VARIABLES } from './redis-schema.ts';

function secretIn(environment: Environment, name: string): string | undefined {
  try {
    return readSecret(environment, name);
  } catch (error) {
    throw error instanceof SecretUnreadable ? new RedisUnavailable(`Redis: ${error.message}`) : error;
  }
}

/**
 * Where the configuration's Redis is, the passwords of Sentinel and cluster read from the environment.
 * @throws RedisUnavailable when a variable that the configuration names is not set, a secret's file cannot be read, or `redis.tls.caFile` cannot be used
 */
export function redisPlaceOf(config: Config, environment: Environment): RedisPlace {
  const { dataDir, source, redis } = config;
  const { url, sentinel, cluster, tls, appendFsync } = redis;

  function secret(key: keyof typeof REDIS_VARIABLES): string | undefined {
    const name = redis[key] ?? REDIS_VARIABLES[key];
    const value = secretIn(environment, name) ?? '';
    if (value !== '') return value;
    if (redis[key] === undefined) return undefined;
    throw new RedisUnavailable(
      `The environment variable ${name} is not set, but redis.${key} of ${source} names it: set it, or ${fileVariableOf(name)}`,
    );
  }

  function access(): { readonly username?: string; readonly password?: string } {
    const username = secret('usernameEnv');
    const password = secret('passwordEnv');
    return { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
  }

  const trusted = tls === undefined ? {} : { ca: readCa(tls.caFile) };
  if (sentinel !== undefined) {
    const sentinelPassword = secret('sentinelPasswordEnv');
    const place = { ...sentinel, ...access(), ...(sentinelPassword !== undefined && { sentinelPassword }) };
    return { dataDir, sentinel: place, ...trusted };
  }
  if (cluster !== undefined) return { dataDir, cluster: { ...cluster, ...access() }, ...trusted };
  if (url !== undefined) return { dataDir, url, ...trusted };
  return { dataDir, ...(appendFsync !== undefined && { appendFsync }) };
}
