/**
 * What an error code says is at fault. The HTTP status plays no part: the same code was seen with 400, 403, 417 and 500
 * (ApsaraMQ for MQTT, notice "change of HTTP status codes for API operations").
 */
export type Blame =
  | 'item'
  | 'not-found'
  | 'instance'
  | 'credential'
  | 'token'
  | 'risk-control'
  | 'clock'
  | 'our-request'
  | 'rate'
  | 'nonce'
  | 'service'
  | 'unknown';

export interface CodeRow {
  /** `exact` is the whole code; `family` is the code or anything below it (`X`, `X.y`); the others are parts of it. */
  readonly match: 'exact' | 'family' | 'prefix' | 'contains';
  readonly code: string;
  readonly blame: Exclude<Blame, 'unknown'>;
}

const rows = (match: CodeRow['match'], blame: CodeRow['blame'], ...codes: string[]): CodeRow[] =>
  codes.map((code) => ({ match, code, blame }));

/** The code table. The first row that matches decides, so narrow rows stand above wide ones. */
export const CODE_TABLE: readonly CodeRow[] = [
  ...rows('exact', 'not-found', 'FindDeviceBySnError'),
  ...rows('exact', 'item', 'ParameterFieldCheckFailed', 'ParameterCheckFailed', 'FindCaBySnError'),
  ...rows('exact', 'instance', 'MqttInstanceNotFound', 'MqttOwnerCheckError', 'InstancePermissionCheckFailed'),
  ...rows('exact', 'instance', 'PermissionCheckFailed', 'ApiNotSupport'),
  ...rows('exact', 'risk-control', 'Forbidden.RiskControl'),
  ...rows('exact', 'credential', 'Forbidden', 'Forbidden.RAM', 'NoPermission'),
  ...rows('exact', 'credential', 'InvalidAccessKeyId.NotFound', 'InvalidAccessKeyId.Inactive'),
  ...rows('exact', 'credential', 'SignatureDoesNotMatch', 'IncompleteSignature', 'CheckAccountInfoFailed'),
  ...rows('exact', 'our-request', 'UnsupportedHTTPMethod', 'InvalidVersion'),
  ...rows('exact', 'rate', 'SystemOverFlow'),
  ...rows('exact', 'nonce', 'SignatureNonceUsed'),
  ...rows('exact', 'service', 'ServiceUnavailable', 'InternalError', 'GetCaNumError'),
  // The second is no parameter of the item, though it begins like those.
  ...rows('family', 'token', 'InvalidSecurityToken', 'MissingSecurityToken'),
  ...rows('family', 'clock', 'InvalidTimeStamp'),
  ...rows('family', 'our-request', 'InvalidApi', 'InvalidProduct', 'InvalidProtocol'),
  ...rows('family', 'item', 'InvalidParameter'),
  ...rows('prefix', 'item', 'Missing'),
  ...rows('contains', 'rate', 'Throttling'),
];

/** What the code says is at fault; `unknown` when no row knows it. Codes are compared exactly. */
export function blameOf(code: string): Blame {
  return CODE_TABLE.find((row) => matches(row, code))?.blame ?? 'unknown';
}

/**
 * Whether a call that was refused so may still have deleted the certificate. A service that failed may have failed after the deletion.
 * Each call has a nonce of its own, so a used nonce means that this very call arrived twice. A code that no row knows promises nothing.
 */
export function mayHaveDone(blame: Blame): boolean {
  switch (blame) {
    case 'service':
    case 'nonce':
    case 'unknown':
      return true;
    case 'item':
    case 'not-found':
    case 'instance':
    case 'credential':
    case 'token':
    case 'risk-control':
    case 'clock':
    case 'our-request':
    case 'rate':
      return false;
  }
}

function matches(row: CodeRow, code: string): boolean {
  switch (row.match) {
    case 'exact':
      return code === row.code;
    case 'family':
      return code === row.code || code.startsWith(`${row.code}.`);
    case 'prefix':
      return code.startsWith(row.code);
    case 'contains':
      return code.includes(row.code);
  }
}
