import { createHash, X509Certificate } from 'node:crypto';

/** A certificate that is looked for. Of its file nothing else is kept: a private key beside it is never read. */
export interface WantedPem {
  /** Where it was given, for people: file, and which certificate of it. */
  readonly where: string;
  /** SHA-256 of its DER. */
  readonly digest: string;
  /** X.509 serial number: hexadecimal, lower case, without leading zeros. */
  readonly serial: string;
  readonly issuer: string;
}

const BLOCK = /-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g;

/** The certificates in the text of a PEM file. A text says what is wrong, and repeats none of it. */
export function wantedIn(file: string, text: string): WantedPem[] | string {
  const wanted: WantedPem[] = [];
  for (const [index, [block]] of [...text.matchAll(BLOCK)].entries()) {
    const where = index === 0 ? file : `${file}, certificate ${index + 1}`;
    try {
      const certificate = new X509Certificate(block);
      wanted.push({
        where,
        digest: digestOf(certificate.raw),
        serial: bare(certificate.serialNumber),
        issuer: certificate.issuer,
      });
    } catch {
      return `${where} is not an X.509 certificate: give it as its authority issued it`;
    }
  }
  return wanted.length === 0 ? `${file} has no certificate: give a file with -----BEGIN CERTIFICATE-----` : wanted;
}

/** One that is given twice is looked for once. */
export function eachOnce(wanted: readonly WantedPem[]): WantedPem[] {
  return [...new Map(wanted.map((one) => [one.digest, one])).values()];
}

/** What the cloud has of a certificate, to be compared. `content` writes line ends maybe as a backslash and an n. */
export interface FoundContent {
  readonly digest: string;
  /** Undefined where the text is no X.509 certificate. */
  readonly x509: { readonly serial: string; readonly issuer: string } | undefined;
}

export function readContent(content: string): FoundContent | undefined {
  const [, body] = new RegExp(BLOCK.source).exec(content) ?? [];
  if (body === undefined) return undefined;
  const der = Buffer.from(body.replaceAll(String.raw`\n`, ''), 'base64');
  return { digest: digestOf(der), x509: parse(der) };
}

function parse(der: Buffer): FoundContent['x509'] {
  try {
    const { serialNumber, issuer } = new X509Certificate(der);
    return { serial: bare(serialNumber), issuer };
  } catch {
    return undefined;
  }
}

/** How a device's serial number may be spelled: hexadecimal with or without colons, or decimal. */
export function spellingsOf(deviceSn: string): string[] {
  const spellings: string[] = [];
  const hex = deviceSn.replaceAll(':', '');
  if (/^[0-9a-f]+$/i.test(hex)) spellings.push(bare(hex));
  if (/^\d+$/.test(deviceSn)) spellings.push(BigInt(deviceSn).toString(16));
  return spellings;
}

function bare(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '');
}

function digestOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('base64');
}
