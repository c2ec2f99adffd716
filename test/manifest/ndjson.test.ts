import { describe, expect, it } from 'vitest';
import { CERTIFICATE, faultyRow, read, summary } from './reading.ts';

const OK = JSON.stringify(CERTIFICATE);

describe('an NDJSON row', () => {
  it.each([
    ['our keys', OK],
    ['the keys of the API', '{"MqttInstanceId":"post-cn-a","CaSn":"00aa","DeviceSn":"0012"}'],
    ['any case', '{"INSTANCEID":"post-cn-a","casn":"00aa","devicesn":"0012"}'],
    ['space around', `\t ${OK} \r`],
    ['a byte order mark', `\uFEFF${OK}`],
    ['other keys', `{"at":"2024-01-01T10:00:00Z","n":1,"list":[{}],${OK.slice(1)}`],
    ['the same key in a nested object', `${OK.slice(0, -1)},"was":{"deviceSn":"9","list":[{"deviceSn":"8"}]}}`],
    ['text that looks like a key', `${OK.slice(0, -1)},"note":"{\\"deviceSn\\":1,\\"caSn\\":","\\\\":"\\\\\\":"}`],
    ['a long text', `${OK.slice(0, -1)},"note":"${'\\": '.repeat(16_000)}"}`],
    ['the key __proto__', `${OK.slice(0, -1)},"__proto__":{"deviceSn":"9"}}`],
    ['escapes', OK.replace('00aa', '00\\u0061a')],
  ])('may have %s', async (_, text) => {
    expect(await read(text)).toEqual({ rows: [{ line: 1, ok: true, certificate: CERTIFICATE }] });
  });

  it.each([
    ['{"instanceId":"i","caSn":"c"}', 'deviceSn is missing'],
    ['{}', 'instanceId is missing'],
    ['{"__proto__":{"instanceId":"i","caSn":"c","deviceSn":"d"}}', 'instanceId is missing'],
    ['{"instanceId":"i","caSn":null,"deviceSn":"d"}', 'caSn is missing'],
    ['{"instanceId":"i","caSn":"c","deviceSn":12}', /^deviceSn is a number, write it in quotes/],
    ['{"instanceId":"i","caSn":["c"],"deviceSn":"d"}', /^caSn is an object/],
    [
      '{"instanceId":"i","caSn":"c","deviceSn":"d\\u0000"}',
      /^deviceSn has a control or invisible character at position 2: "d\\u0000"/,
    ],
    ['{"instanceId":"i","caSn":"c","deviceSn":"\\ud800"}', /^deviceSn is not valid Unicode text.*: "\\ud800"/],
    ['{"instanceId":"i","caSn":"c","deviceSn":"1E+15"}', /^deviceSn is "1E\+15", which looks like/],
    [
      '{"caSn":"c","deviceSn":"d","DeviceSn":"e","instanceId":"i"}',
      '"deviceSn" and "DeviceSn" both give deviceSn: keep one',
    ],
    ['{"instanceId":"i","MQTTInstanceId":"i"}', '"instanceId" and "MQTTInstanceId" both give instanceId: keep one'],
    ['{"instanceId":"i","caSn":"c","deviceSn":"d","deviceSn":"e"}', 'key "deviceSn" appears twice: keep one'],
    ['{"instanceId":"i","caSn":"c","deviceSn":"d","device\\u0053n":"e"}', 'key "deviceSn" appears twice: keep one'],
    [
      '{"instanceId":"i","caSn":"c","deviceSn" : "d","x":{"y":1},"deviceSn" : "d"}',
      'key "deviceSn" appears twice: keep one',
    ],
    [
      '{"instance_id":"i","instanceId":"j","caSn":"c","deviceSn":"d"}',
      'key "instance_id" is like instanceId: call it that, or give it another name',
    ],
    ['[{"deviceSn":"d"}]', 'an array, where each line is one object'],
    ['"text"', 'not an object: "\\"text\\""'],
    ['null', 'not an object: "null"'],
    ['{"deviceSn":"d"', 'not valid JSON: "{\\"deviceSn\\":\\"d\\""'],
    ['{}{}', 'not valid JSON: "{}{}"'],
    [`${OK}\r${OK}`, /^not valid JSON/],
    ['x'.repeat(200), `not valid JSON: "${'x'.repeat(80)}…"`],
    ['\u202E', 'not valid JSON: "\\u202e"'],
  ])('%j is a fault of its own and stops no other', async (text, reason) => {
    const { rows, fault } = await read(`\n${OK}\n \r\n${text}\n${OK}\n`, { format: 'ndjson' });
    expect(fault).toBeUndefined();
    expect(rows).toEqual([
      { line: 2, ok: true, certificate: CERTIFICATE },
      faultyRow(4, reason),
      { line: 5, ok: true, certificate: CERTIFICATE },
    ]);
  });

  it('takes what it lacks from what is given for the whole manifest, and must agree with it', async () => {
    const text = ['{"deviceSn":"1"}', '{"caSn":"","instanceId":null,"deviceSn":"2"}', '{"caSn":"0","deviceSn":"3"}'];
    const reading = await read(text.join('\n'), { instanceId: 'post-cn-a', caSn: '00aa' });
    expect(summary(reading)).toEqual(['1: 1', '2: 2', '3: caSn is "0", but "00aa" was given for the whole manifest']);
    expect(reading.rows[1]).toMatchObject({ certificate: { instanceId: 'post-cn-a', caSn: '00aa', deviceSn: '2' } });
  });
});
