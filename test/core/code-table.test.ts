import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blameOf, CODE_TABLE } from '../../src/core/code-table.ts';
import type { Blame, CodeRow } from '../../src/core/code-table.ts';

const of = (match: CodeRow['match']): CodeRow[] => CODE_TABLE.filter((row) => row.match === match);
const word = fc.string({ unit: fc.constantFrom('a', 'Z', '9', '.', '_'), minLength: 1, maxLength: 12 });

describe('blameOf', () => {
  const samples: readonly (readonly [blame: Blame, ...codes: string[]])[] = [
    ['not-found', 'FindDeviceBySnError'],
    ['item', 'ParameterFieldCheckFailed', 'ParameterCheckFailed', 'InvalidParameter.DeviceSn', 'FindCaBySnError'],
    ['item', 'MissingDeviceSn'],
    ['token', 'MissingSecurityToken'],
    ['instance', 'MqttInstanceNotFound', 'MqttOwnerCheckError', 'InstancePermissionCheckFailed'],
    ['instance', 'PermissionCheckFailed', 'ApiNotSupport'],
    ['credential', 'Forbidden', 'Forbidden.RAM', 'NoPermission', 'InvalidAccessKeyId.NotFound'],
    ['credential', 'InvalidAccessKeyId.Inactive', 'SignatureDoesNotMatch', 'IncompleteSignature'],
    ['credential', 'CheckAccountInfoFailed'],
    ['token', 'InvalidSecurityToken.Expired'],
    ['risk-control', 'Forbidden.RiskControl'],
    ['clock', 'InvalidTimeStamp.Expired'],
    ['our-request', 'UnsupportedHTTPMethod', 'InvalidApi.NotFound', 'InvalidProduct.NotFound', 'InvalidVersion'],
    ['our-request', 'InvalidProtocol.NeedSsl'],
    ['rate', 'Throttling', 'Throttling.User', 'Throttling.Api', 'SystemOverFlow'],
    ['nonce', 'SignatureNonceUsed'],
    ['service', 'ServiceUnavailable', 'InternalError', 'GetCaNumError'],
    ['unknown', 'InternalError.More', 'InvalidParameterless', 'AMissing', 'findDeviceBySnError'],
    ['unknown', ' FindDeviceBySnError', 'FindDeviceBySnError ', ''],
  ];
  it.each(samples)('%s: %j and others', (blame, ...codes) => {
    expect(codes.map((code) => blameOf(code))).toEqual(codes.map(() => blame));
  });

  it('knows exact codes to the letter only', () => {
    for (const { code, blame } of of('exact')) {
      expect(blameOf(code)).toBe(blame);
      expect(blameOf(code.toUpperCase())).toBe('unknown');
      expect(blameOf(`${code}x`)).toBe('unknown');
    }
  });

  it('knows families by their name and all below it', () => {
    for (const { code, blame } of of('family')) {
      // Where a wider row knows it, another blame than the family's.
      expect(blameOf(code)).toBe(blame);
      expect(blameOf(`${code}Other`)).toBe(code.startsWith('Missing') ? 'item' : 'unknown');
      fc.assert(
        fc.property(word, (below) => {
          expect(blameOf(`${code}.${below}`)).toBe(blame);
        }),
      );
    }
  });

  it('knows Throttling wherever it stands, and Missing where it begins', () => {
    fc.assert(
      fc.property(word, word, (before, after) => {
        expect(blameOf(`${before}Throttling${after}`)).toBe('rate');
        fc.pre(after !== 'SecurityToken');
        expect(blameOf(`Missing${after}`)).toBe('item');
        expect(blameOf(`${before}Missing${after}`)).toBe('unknown');
      }),
    );
  });
});

describe('the code table', () => {
  it('has no row that another one hides', () => {
    for (const row of CODE_TABLE) expect(blameOf(row.code)).toBe(row.blame);
    expect(new Set(CODE_TABLE.map(({ match, code }) => `${match} ${code}`)).size).toBe(CODE_TABLE.length);
  });
});
