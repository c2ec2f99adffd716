import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DEFAULT_BREAKER } from '../../../src/core/batch.ts';
import { loadConfig } from '../../../src/runtime/config/load-config.ts';
import { configJsonSchema } from '../../../src/runtime/config/schema.ts';

const CONFIG = fileURLToPath(new URL('../../../config/', import.meta.url));
const environment = { HOME: '/home/operator' };

describe('the shipped files', () => {
  it('default.yaml loads, and changes nothing', async () => {
    const { source, ...fromFile } = await loadConfig({ path: join(CONFIG, 'default.yaml'), environment });
    const { source: _none, ...builtIn } = await loadConfig({ environment });
    expect(source).toBe(join(CONFIG, 'default.yaml'));
    expect(fromFile).toEqual(builtIn);
  });

  it('default.yaml shows each default as it is, and examples that are accepted', async () => {
    const text = await readFile(join(CONFIG, 'default.yaml'), 'utf8');
    const folder = await mkdtemp(join(tmpdir(), 'certsweep-config-'));
    // "#key" and "#  key" are settings, "# Words" explain.
    const settings = text.split('\n').map((line) => (/^#( {2})?[a-zA-Z]+:( |$)/.test(line) ? line.slice(1) : line));
    const path = join(folder, 'uncommented.yaml');
    await writeFile(path, settings.join('\n'));
    const shown = await loadConfig({ path, environment });
    await rm(folder, { recursive: true });

    const builtIn = await loadConfig({ environment });
    expect(shown).toEqual({
      ...builtIn,
      source: path,
      redis: { url: 'redis://127.0.0.1:6379/0' },
      dataDir: join(folder, 'state'),
      egress: { ...builtIn.egress, localAddress: '10.0.0.5' },
      health: { port: 9464, host: '127.0.0.1' },
      audit: { requireReason: false, file: '/var/log/certsweep/audit.ndjson' },
    });
  });

  it('production.example.yaml loads with its two accounts', async () => {
    const config = await loadConfig({ path: join(CONFIG, 'production.example.yaml'), environment });
    expect(config.accounts.map(({ name, endpoint, qps }) => ({ name, endpoint, qps }))).toEqual([
      { name: 'fleet-eu', endpoint: 'https://onsmqtt.eu-central-1.aliyuncs.com', qps: 480 },
      { name: 'fleet-cn', endpoint: 'https://onsmqtt-vpc.cn-hangzhou.aliyuncs.com', qps: 400 },
    ]);
  });

  it('certsweep.schema.json is what the rules generate (else: npm run schema)', async () => {
    expect(JSON.parse(await readFile(join(CONFIG, 'certsweep.schema.json'), 'utf8'))).toEqual(configJsonSchema());
  });

  it('the schema explains every key', () => {
    const silent: string[] = [];
    const walk = (schema: unknown, path: string): void => {
      if (typeof schema !== 'object' || schema === null) return;
      if (path !== '' && !('description' in schema)) silent.push(path);
      const { properties = {}, additionalProperties } = {
        properties: undefined,
        additionalProperties: undefined,
        ...schema,
      };
      for (const [key, below] of Object.entries(Object(properties))) walk(below, `${path}.${key}`);
      const ofEach = Object(additionalProperties);
      if ('properties' in ofEach)
        for (const [key, below] of Object.entries(Object(ofEach.properties))) walk(below, `${path}.*.${key}`);
    };
    walk(configJsonSchema(), '');
    expect(silent).toEqual([]);
  });
});

describe('built-in defaults', () => {
  it('stay below both limits of the cloud', async () => {
    expect(await loadConfig({ environment })).toEqual({
      source: 'environment',
      redis: {},
      dataDir: '/home/operator/.local/state/certsweep',
      egress: { id: 'default', qps: 280 },
      notFound: 'already-gone',
      retry: { attempts: 8, baseMs: 500, capMs: 30_000 },
      breaker: DEFAULT_BREAKER,
      callDeadlineMs: 10_000,
      limiter: { lateMs: 25 },
      health: { host: '127.0.0.1' },
      audit: { requireReason: false },
      log: { level: 'info' },
      accounts: [],
      schedules: [],
      approvals: {},
      http: { basePath: '', host: '127.0.0.1', port: 9480, tokens: [] },
    });
  });

  it.each([
    ['/var/state', '/var/state/certsweep'],
    ['state', '/home/operator/.local/state/certsweep'],
  ])('keep data where XDG_STATE_HOME says, unless that is relative: %s', async (state, dataDir) => {
    expect((await loadConfig({ environment: { ...environment, XDG_STATE_HOME: state } })).dataDir).toBe(dataDir);
  });
});
