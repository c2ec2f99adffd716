import { describe, expect, it } from 'vitest';
import { parseCertificate } from '../../src/core/certificate.ts';
import { NonceMemory, REQUEST_VALIDITY_MS } from '../../src/sandbox/accounts.ts';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import { listedRegistry } from '../../src/sandbox/listed-registry.ts';
import { openRegistry } from '../../src/sandbox/open-registry.ts';
import { latencySampler, seededRandom } from '../../src/sandbox/seeded.ts';
import { CERTIFICATE } from './call.ts';

const SAME_SERIAL = { ...CERTIFICATE, caSn: '00ff' };

describe.each([
  ['open', openRegistry],
  ['listed', () => listedRegistry([CERTIFICATE, SAME_SERIAL])],
])('the %s registry', (_, make) => {
  it('forgets a certificate once it is deleted, and no other with its serial number', () => {
    const registry = make();
    registry.change(CERTIFICATE, 'inactive');
    expect([registry.stateOf(CERTIFICATE), registry.stateOf(SAME_SERIAL)]).toEqual(['inactive', 'active']);
    registry.change(CERTIFICATE, 'absent');
    registry.change(CERTIFICATE, 'absent');
    expect([registry.stateOf(CERTIFICATE), registry.stateOf(SAME_SERIAL)]).toEqual(['absent', 'active']);
    expect(registry.deletedCount).toBe(1);
  });
});

describe('generateCertificates', () => {
  const options = { seed: 1, instanceId: 'post-cn-own', caSn: '00aa' };

  it('gives the same certificates for the same seed, others for another, none twice', () => {
    const fleet = [...generateCertificates(20_000, options)];
    expect([...generateCertificates(20_000, options)]).toEqual(fleet);
    expect(new Set(fleet.map((certificate) => certificate.deviceSn)).size).toBe(20_000);
    const [first] = generateCertificates(1, { ...options, seed: 2 });
    expect(first).not.toEqual(fleet[0]);
  });

  it('gives serial numbers of 20 digits that begin with a zero and pass the check', () => {
    for (const certificate of generateCertificates(1000, options)) {
      expect(certificate.deviceSn).toMatch(/^0\d{19}$/);
      expect(parseCertificate({ ...certificate })).toEqual({ ok: true, certificate });
    }
  });
});

describe('NonceMemory', () => {
  it('remembers a nonce for 15 minutes at least, for its key only, and forgets it some time', () => {
    const nonces = new NonceMemory();
    expect([nonces.use('a', 'n', 0), nonces.use('b', 'n', 0), nonces.use('a', 'n', 1)]).toEqual([true, true, false]);
    expect(nonces.use('a', 'n', REQUEST_VALIDITY_MS)).toBe(false);
    expect(nonces.use('a', 'n', 4 * REQUEST_VALIDITY_MS)).toBe(true);
  });
});

describe('latency', () => {
  it('lognormal has the median and the 99th percentile asked for', () => {
    const draw = latencySampler({ kind: 'lognormal', medianMs: 20, p99Ms: 200 }, seededRandom(1));
    const sorted = Array.from({ length: 20_000 }, draw).toSorted((a, b) => a - b);
    expect(sorted[10_000]).toBeCloseTo(20, -0.5);
    expect(sorted[19_800]).toBeGreaterThan(170);
    expect(sorted[19_800]).toBeLessThan(230);
  });
});
