import { describe, expect, it } from 'vitest';
import { CERTIFICATE, csv, faultyRow, HEADER, read, summary } from './reading.ts';

const OK = 'post-cn-a,00aa,0012';

describe('a CSV header', () => {
  it.each([
    ['our names', HEADER],
    ['the names of the API', 'MqttInstanceId,CaSn,DeviceSn'],
    ['any case', 'MQTTINSTANCEID,casn,deviceSN'],
    ['padded names', ' instanceId , caSn,deviceSn '],
    ['quoted names', '"instanceId","caSn","deviceSn"'],
    ['a byte order mark', `\uFEFF${HEADER}`],
    ['a byte order mark before a quote', `\uFEFF"instanceId",caSn,deviceSn`],
    ['a carriage return', `${HEADER}\r`],
    ['blank lines before it', `\n \r\n${HEADER}`],
  ])('may have %s', async (_, header) => {
    const { rows, fault } = await read(`${header}\n${OK}\n`);
    expect(fault).toBeUndefined();
    expect(rows).toEqual([{ line: header.split('\n').length + 1, ok: true, certificate: CERTIFICATE }]);
  });

  it('may have its columns in any order, among others that are ignored, even nameless ones', async () => {
    const { rows } = await read('note,DeviceSn,,instanceId,,caSn\nx,0012,y,post-cn-a,,00aa\n');
    expect(rows).toEqual([{ line: 2, ok: true, certificate: CERTIFICATE }]);
  });

  it('may lack what is given for the whole manifest', async () => {
    const { rows } = await read('deviceSn\n0012\n', { instanceId: 'post-cn-a', caSn: '00aa' });
    expect(rows).toEqual([{ line: 2, ok: true, certificate: CERTIFICATE }]);
  });

  it.each([
    [
      'no deviceSn column',
      'instanceId,caSn,serial',
      /^Line 1 is not a header with a deviceSn column: "instanceId,caSn,s/,
    ],
    [
      'no header at all',
      OK,
      /^Line 1 is not a header with a deviceSn column: "post-cn-a,00aa,0012"\. Begin the manifest/,
    ],
    ['no instanceId column', 'caSn,deviceSn', /^Line 1: the header has no column instanceId: "caSn,deviceSn"\. Add it/],
    ['no other column', 'deviceSn', /no column instanceId and none caSn/],
    [
      'a name twice',
      `${HEADER},DEVICESN`,
      /has deviceSn twice, as "deviceSn" \(column 3\) and "DEVICESN" \(column 4\)/,
    ],
    ['an alias too', `${HEADER},MqttInstanceId`, /instanceId twice, as "instanceId" \(column 1\) and "MqttInstanceId"/],
    ['semicolons', 'instanceId;caSn;deviceSn', /not comma separated: .*, but semicolons\. Save .*comma delimited/],
    ['quotes and semicolons', '"instanceId";"caSn";"deviceSn"', /not comma separated: .*, but semicolons/],
    ['tabs', 'note\tcaSn\tdeviceSn', /not comma separated: .*, but tabs/],
    ['bars', 'instanceId|caSn|deviceSn', /not comma separated: .*, but bars/],
    ['a sep= line', 'sep=;\ninstanceId;caSn;deviceSn', /^Line 1 is not comma separated: "sep=;", but a separator line/],
    ['a sep=, line', `sep=,\n${HEADER}`, /^Line 1 is not comma separated: "sep=,", but a separator line/],
    ['an object of JSON', '{"deviceSn":"0012"}', /^Line 1 begins like JSON where a CSV header should be/],
    ['an array of JSON', '[{"deviceSn":"0012"}]', /^Line 1 begins like JSON where a CSV header should be/],
    ['old Mac line ends', `${HEADER}\r${OK}\r`, /^Line 1 has carriage returns without line feeds/],
    ['quotes that do not pair', 'instanceId,"caSn"x,deviceSn', /^Line 1: the quotes of the header do not pair/],
  ])('is refused with %s', async (_, text, fault) => {
    const reading = await read(text, { format: 'csv' });
    expect(reading.rows).toEqual([]);
    expect(reading.fault).toMatch(fault);
  });

  it.each(['instance_id', 'Instance ID', 'MQTT-Instance-Id', '\u200binstanceId', '"Ca Sn"', 'device.sn'])(
    'is refused where a column is called %j: what is given must not stand in for it',
    async (name) => {
      const { fault } = await read(`${name},deviceSn\npost-cn-b,0012\n`, { instanceId: 'post-cn-a', caSn: '00aa' });
      expect(fault).toMatch(/^Line 1: column 1 is called .* If it holds the (instanceId|caSn|deviceSn), call it that/);
    },
  );

  it('names the line it stands on', async () => {
    expect((await read(`\n\n${OK}`)).fault).toMatch(/^Line 3 is not a header/);
  });

  it('without rows is refused', async () => {
    expect((await read(`${HEADER}\n\n`)).fault).toMatch(/^The manifest has a header but no rows\./);
  });
});

describe('a CSV row', () => {
  it('keeps values as they are, whatever the quoting', async () => {
    const { rows } = await read(csv('"post,cn",00aa,"a""b"', '"post-cn-a","00aa","0012"\r', 'é,00aa,器\r', ',,'));
    expect(rows).toEqual([
      { line: 2, ok: true, certificate: { instanceId: 'post,cn', caSn: '00aa', deviceSn: 'a"b' } },
      { line: 3, ok: true, certificate: CERTIFICATE },
      { line: 4, ok: true, certificate: { instanceId: 'é', caSn: '00aa', deviceSn: '器' } },
      { line: 5, ok: false, reason: 'instanceId is missing' },
    ]);
  });

  it('counts lines past blank ones and past line feeds in quotes', async () => {
    const reading = await read(
      ['note,instanceId,caSn,deviceSn', '"a', '', 'b",i,c,2', '', '\r', '   ', 'x,i,c,8', '"a\r', '",i,c,9', ''].join(
        '\n',
      ),
    );
    expect(reading.fault).toBeUndefined();
    expect(summary(reading)).toEqual(['2: 2', '8: 8', '9: 9']);
  });

  it.each([
    ['i,c', '2 fields where the header has 3'],
    ['i,c,d,e', '4 fields where the header has 3; a value with a comma must stand in quotes'],
    ['"i,c,d"', '1 field where the header has 3'],
    ['i,c,', 'deviceSn is missing'],
    ['i,"",d', 'caSn is missing'],
    ['i,c, d', 'deviceSn begins or ends with white space: " d"'],
    ['i,c,"d\n"', 'deviceSn has a control or invisible character at position 2: "d\\n"'],
    ['i,c,d\re', 'deviceSn has a control or invisible character at position 2: "d\\re"'],
    ['i,c,\u200ed', 'deviceSn has a control or invisible character at position 1: "\\u200ed"'],
    ['i,c,d\u200b', 'deviceSn has a control or invisible character at position 2: "d\\u200b"'],
    ['i,c,\u009bd', 'deviceSn has a control or invisible character at position 1: "\\u009bd"'],
    ['i,c,d\uFFFD', 'deviceSn is not valid Unicode text, save the manifest as UTF-8: "d\uFFFD"'],
    [`i,c,${'9'.repeat(129)}`, `deviceSn is 129 bytes, at most 128: "${'9'.repeat(80)}…"`],
    [`i,${'é'.repeat(65)},d`, `caSn is 130 bytes, at most 128: "${'é'.repeat(65)}"`],
    ['i,c,1.23E+15', /^deviceSn is "1\.23E\+15", which looks like a serial number that Excel rounded: export/],
    ['i,9E+20,d', /^caSn is "9E\+20", which looks like a serial number that Excel rounded/],
    ["i,c,'=1+1", /^deviceSn is "'=1\+1": reports put an apostrophe before a value/],
    ["'@i,c,d", /^instanceId is "'@i": reports put an apostrophe/],
    ["i,'-5,d", /^caSn is "'-5": reports put an apostrophe/],
    ['i,c,"1,23e+15"', /^deviceSn is "1,23e\+15", which looks like/],
    ['instanceId,caSn,deviceSn', 'deviceSn is "deviceSn": a header in the middle of the manifest'],
    ['MqttInstanceId,CaSn,DeviceSn', 'deviceSn is "DeviceSn": a header in the middle of the manifest'],
    ['\uFEFFi,c,d', 'instanceId has a control or invisible character at position 1: "\\ufeffi"'],
    ['i,c,"d"\r\r', /^the quotes do not pair/],
    ['"i",c,d\r\r', 'deviceSn has a control or invisible character at position 2: "d\\r"'],
    ['i,c,a"b"', /^the quotes do not pair/],
    ['i,c,"a"b', /^the quotes do not pair/],
    ['i,c,"a" ', /^the quotes do not pair/],
    ['i,c,="0012"', /^the quotes do not pair/],
  ])('%j is a fault of its own and stops no other', async (text, reason) => {
    const after = 2 + text.split('\n').length;
    const { rows, fault } = await read(csv(text, '"post-cn-a",00aa,0012', OK));
    expect(fault).toBeUndefined();
    expect(rows).toEqual([
      faultyRow(2, reason),
      { line: after, ok: true, certificate: CERTIFICATE },
      { line: after + 1, ok: true, certificate: CERTIFICATE },
    ]);
  });

  it.each(['1E15', '12E+3', '1.2.3E+4', 'AE+15', '1E+1A', '0012E-5', '00000'])('%s is a serial number', async (sn) => {
    expect((await read(csv(`i,c,${sn}`))).rows).toMatchObject([{ ok: true, certificate: { deviceSn: sn } }]);
  });

  it('with a quote that is never closed stops the manifest, and names its line', async () => {
    const reading = await read(csv(OK, `${OK}"`, OK, OK));
    expect(reading.fault).toMatch(/^The row that begins on line 3 has a quote that is not closed/);
  });

  it('with a quote that is closed too late stops the manifest within 64 KiB', async () => {
    const far = Array.from({ length: 10_000 }, () => OK);
    const reading = await read(csv(OK, `${OK},"`, ...far, '"', 'i,c,d'));
    expect(reading.fault).toMatch(/^The row that begins on line 3 has a quote that is not closed .* within 64 KiB/);
  });
});

describe('joined manifests', () => {
  const given = { instanceId: 'post-cn-a' };

  it.each([
    ['columns that changed places', 'caSn,deviceSn\n00aa,0012\ndeviceSn,caSn\n0013,00aa\n', given],
    ['a column less', 'caSn,deviceSn,x\n00aa,0012,\ncaSn,y,deviceSn\n00aa,z,0013\n', given],
    ['an ignored column in the place of one', 'x,deviceSn\n,0012\ndeviceSn,x\n0013,note\n', { ...given, caSn: '00aa' }],
    ['quotes', 'caSn,deviceSn\n00aa,0012\n"deviceSn","caSn"\n0013,00aa\n', given],
    ['blanks and a byte order mark', 'caSn,deviceSn\n00aa,0012\n\uFEFFdeviceSn, caSn\n0013,00aa\n', given],
  ])('are refused where a later header has other columns: %s', async (_, text, options) => {
    const { fault } = await read(text, options);
    expect(fault).toMatch(/^Line 3 is another header in the middle of the manifest/);
  });
});

describe('the last row', () => {
  const WHOLE = csv('i,c,12', '"i",c,"17"', 'i,c,100003');
  const cutTo = (bytes: number): string => WHOLE.slice(0, bytes);

  it.each([
    ['in its last value', csv(OK, 'i,c,1000').slice(0, -1), 3],
    ['before its last value', csv(OK, 'i,c,').slice(0, -1), 3],
    ['before all of its values are there', csv(OK, '"i","c"').slice(0, -1), 3],
    ['in a column that is ignored', 'note,instanceId,caSn,deviceSn,x\n,i,c,1,\n,i,c,2,y', 3],
    ["after a quote that is another row's", csv('"i","c","1"', 'i,c,2').slice(0, -1), 3],
    ['behind a row of several lines', 'note,instanceId,caSn,deviceSn\n"a\nb",i,c,1\n"a\nb",i,c,2', 4],
    ['as the only row', `\uFEFF${csv('i,c,1').slice(0, -1)}`, 2],
    ['between CRLF and its first blank', `${csv(OK)}i,c,1 `, 3],
  ])('that is cut %s refuses the manifest, unless that is allowed', async (_, text, line) => {
    const { fault } = await read(text, { format: 'csv' });
    expect(fault).toMatch(
      new RegExp(`^The last row, on line ${line}, has no line end: .* add a line feed, or --allow-unterminated\\.$`),
    );
    const allowed = await read(text, { format: 'csv', allowUnended: true });
    expect(allowed.fault).toBeUndefined();
    expect(allowed.rows.at(-1)?.line).toBe(line);
  });

  it.each([
    ['its quote closes it', csv(OK, '"i",c,"2"').slice(0, -1)],
    ['its quote closes it over several lines', 'instanceId,caSn,deviceSn,note\ni,c,1,"a\nb"'],
    ['half of its CRLF is there', `${csv(OK, 'i,c,2').slice(0, -1)}\r`],
    ['only blanks follow', `${csv(OK, 'i,c,2')} \t`],
  ])('is whole without a line feed when %s', async (_, text) => {
    const { rows, fault } = await read(text);
    expect(fault).toBeUndefined();
    expect(rows.every(({ ok }) => ok)).toBe(true);
  });

  it('never becomes another certificate, wherever the manifest is cut', async () => {
    for (let bytes = 0; bytes < WHOLE.length; bytes += 1) {
      const { rows, fault } = await read(cutTo(bytes), { format: 'csv' });
      const serials = fault === undefined ? rows.flatMap((row) => (row.ok ? [row.certificate.deviceSn] : [])) : [];
      expect(serials.filter((serial) => !['12', '17', '100003'].includes(serial))).toEqual([]);
    }
  });

  it.each([
    [
      'an escaped quote',
      csv('i,c,"ab""').slice(0, -1),
      /^The row that begins on line 2 has a quote that is not closed/,
    ],
    ['the header', 'instanceId,caSn,deviceSn', /^The manifest has a header but no rows/],
  ])('is told as what it is when the cut is behind %s', async (_, text, fault) => {
    expect((await read(text)).fault).toMatch(fault);
  });
});

describe('what is given for the whole manifest', () => {
  const given = { instanceId: 'post-cn-a', caSn: '00aa' };

  it('fills in what a row lacks, and must agree with what it has', async () => {
    const reading = await read(csv(',,1', 'post-cn-a,,2', 'post-cn-b,00aa,3', 'post-cn-a,00AA,4', ',,'), given);
    expect(summary(reading)).toEqual([
      '2: 1',
      '3: 2',
      '4: instanceId is "post-cn-b", but "post-cn-a" was given for the whole manifest',
      '5: caSn is "00AA", but "00aa" was given for the whole manifest',
      '6: deviceSn is missing',
    ]);
    expect(reading.rows[0]).toMatchObject({ certificate: { ...given, deviceSn: '1' } });
  });

  it('is checked like any value', async () => {
    expect(summary(await read('deviceSn\n1\n', { instanceId: 'a ', caSn: 'c' }))).toEqual([
      '2: instanceId begins or ends with white space: "a "',
    ]);
  });
});
