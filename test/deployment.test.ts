import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { isPatched } from '../src/runtime/redis/patched.ts';

const read = (name: string): Promise<string> => readFile(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8');

interface Service {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string | null>>;
  readonly secrets?: readonly (string | { readonly source: string; readonly target: string })[];
  readonly networks?: readonly string[];
}
const { services, secrets } = parse(await read('docker-compose.yml'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, unknown>>;
};

describe('docker-compose.yml', () => {
  it.each(Object.keys(services))('bounds the service %s, and leaves no core dump', (name) => {
    expect(services[name]).toMatchObject({
      init: true,
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      pids_limit: expect.any(Number),
      mem_limit: expect.any(String),
      ulimits: { core: 0 },
    });
  });

  it('gives every secret by a file, and the command line none of the cloud', () => {
    for (const { environment = {}, secrets: given = [] } of Object.values(services)) {
      const named = Object.keys(environment).filter((key) => /PASSWORD|REDIS_URL|ACCESS_KEY|TOKEN|SECRET/.test(key));
      expect(named.filter((key) => !key.endsWith('_FILE'))).toEqual([]);
      const files = named.map((key) => environment[key]?.replace('/run/secrets/', ''));
      const mounted = given.map((secret) => (typeof secret === 'string' ? secret : secret.target));
      const sources = given.map((secret) => (typeof secret === 'string' ? secret : secret.source));
      expect(mounted).toEqual(expect.arrayContaining(files));
      expect(Object.keys(secrets)).toEqual(expect.arrayContaining(sources));
    }
    expect(services['worker']?.secrets).toContain('access_key_secret');
    // Each as a user of Redis of its own.
    expect(services['worker']?.secrets).toContainEqual({ source: 'worker_url', target: 'redis_url' });
    expect(services['serve']).toMatchObject({ ports: ['127.0.0.1:9480:9480'] });
    expect(JSON.stringify(services['serve']?.secrets)).not.toContain('access_key');
    const secretsOfCli = [{ source: 'operator_url', target: 'redis_url' }];
    expect(services['cli']).toMatchObject({ secrets: secretsOfCli, networks: ['store'] });
  });

  it('pins a Redis without a known execution of code', () => {
    const [, version = ''] = /^redis:(\d+\.\d+\.\d+)-/.exec(services['redis']?.image ?? '') ?? [];
    expect(isPatched('redis', version)).toBe(true);
  });
});

describe('Dockerfile', () => {
  it('listens inside the container on every address', async () => {
    expect(await read('Dockerfile')).toMatch(/^ENV .*CERTSWEEP_HEALTH_HOST=0\.0\.0\.0/m);
  });

  it('starts Node so that a signal opens no debugger', async () => {
    const [, list = ''] = /^ENTRYPOINT (.*)$/m.exec(await read('Dockerfile')) ?? [];
    const [program, ...args] = JSON.parse(list) as string[];
    expect([program, ...args]).toEqual(['node', '--disable-sigusr1', '/app/dist/cli/main.js']);
  });

  // The option came with Node 22.14; the image has 24.
  it.skipIf(Number(process.versions.node.split('.')[0]) < 24)('names options that Node knows', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--disable-sigusr1', '-p', '1']);
    expect(stdout).toBe('1\n');
  });
});
