import { credentialsFromChain, credentialsFromEnvironment, type CredentialSource } from '../../mqtt/credentials.ts';
import { keyVariablesOf, type AccountConfig, type Environment } from '../../runtime/config/config.ts';
import { readSecret } from '../../runtime/secret.ts';

/** Where an account's keys come from: the named variables or their files, or the default chain. */
export function credentialsOf(account: AccountConfig, environment: Environment): CredentialSource {
  const variables = keyVariablesOf(account, environment);
  if (variables === undefined) return credentialsFromChain();
  const { accessKeyIdEnv, accessKeySecretEnv, securityTokenEnv } = variables;
  return credentialsFromEnvironment(
    {
      accessKeyId: accessKeyIdEnv,
      accessKeySecret: accessKeySecretEnv,
      ...(securityTokenEnv !== undefined && { securityToken: securityTokenEnv }),
    },
    (name) => readSecret(environment, name),
  );
}
