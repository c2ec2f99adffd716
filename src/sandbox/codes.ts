/** HTTP statuses a code was seen with, and what the API says. Both the old statuses and the re-mapped ones occur. */
interface CodeFace {
  readonly statuses: readonly [number, ...number[]];
  readonly message: string;
}

const face = (message: string, ...statuses: [number, ...number[]]): CodeFace => ({ statuses, message });

/** The codes the sandbox gives by itself or on a plan's order (DeleteDeviceCertificate, "Error codes", and the gateway's). */
const FACES: ReadonlyMap<string, CodeFace> = new Map([
  [
    'ParameterFieldCheckFailed',
    face('Failed to validate the parameters. The parameters may be missing or invalid.', 400),
  ],
  ['FindDeviceBySnError', face('Failed to find the device certificate by the SN. Please check sn is valid', 500, 400)],
  ['FindCaBySnError', face('Failed to find the CA certificate by the SN. Please check sn is valid', 500, 400)],
  ['MqttInstanceNotFound', face('Specified instance is not found', 500, 400)],
  ['MqttOwnerCheckError', face('Failed to validate the instance permission', 500, 403)],
  ['InstancePermissionCheckFailed', face('Failed to validate the permissions of the instance.', 400, 403)],
  ['PermissionCheckFailed', face('Failed to validate the permissions.', 403, 400)],
  ['ApiNotSupport', face('The specified API is not supported.', 404)],
  ['Forbidden', face('The caller is not allowed to do this.', 403)],
  ['Forbidden.RAM', face('User not authorized to operate on the specified resource.', 403)],
  ['NoPermission', face('You are not authorized to do this action.', 403)],
  ['Forbidden.RiskControl', face('This operation is forbidden by risk control.', 403)],
  ['InvalidAccessKeyId.NotFound', face('Specified access key is not found.', 404)],
  ['InvalidAccessKeyId.Inactive', face('Specified access key is disabled.', 400, 403)],
  ['SignatureDoesNotMatch', face('Specified signature is not matched with our calculation.', 400)],
  ['IncompleteSignature', face('The request signature does not conform to the standards.', 400)],
  ['InvalidSecurityToken.MismatchWithAccessKey', face('Specified SecurityToken mismatches the AccessKey.', 400)],
  ['InvalidSecurityToken.Expired', face('Specified SecurityToken is expired.', 400)],
  ['InvalidTimeStamp.Format', face('Specified time stamp or date value is not well formatted.', 400)],
  ['InvalidTimeStamp.Expired', face('Specified time stamp or date value is expired.', 400)],
  ['SignatureNonceUsed', face('Specified signature nonce was used already.', 400)],
  ['UnsupportedHTTPMethod', face('This http method is not supported.', 400)],
  ['InvalidApi.NotFound', face('Specified api is not found, please check your url and method.', 404)],
  ['InvalidVersion', face('Specified parameter Version is not valid.', 400)],
  ['InvalidParameter', face('The request cannot be read.', 400)],
  ['Throttling', face('Request was denied due to request throttling.', 400, 503)],
  ['Throttling.User', face('Request was denied due to user flow control.', 400, 429)],
  ['Throttling.Api', face('Request was denied due to api flow control.', 400, 429)],
  ['SystemOverFlow', face('The system is overloaded, please try again later.', 500, 403)],
  ['ServiceUnavailable', face('The request has failed due to a temporary failure of the server.', 503)],
  ['InternalError', face('The request processing has failed due to some unknown error.', 500)],
  ['GetCaNumError', face('Failed to count the CA certificates.', 500, 417)],
]);

/** Any other code: seen with 400, said without detail. */
const OTHER = face('The request was refused.', 400);

export function faceOf(code: string): CodeFace {
  return FACES.get(code) ?? OTHER;
}
