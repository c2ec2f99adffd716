import { caDetails, deviceDetails } from './details.ts';
import { certificateKey, type Registration, type Registry } from './registry.ts';

/** A registry in which every certificate and every CA exists until it is deleted. It cannot enumerate them: its lists are empty. */
export function openRegistry(): Registry {
  const deleted = new Set<string>();
  const inactive = new Set<string>();
  const caStates = new Map<string, Registration>();
  const caKey = (instanceId: string, caSn: string): string => `${instanceId}\n${caSn}`;
  const caState = (instanceId: string, caSn: string): Registration => caStates.get(caKey(instanceId, caSn)) ?? 'active';
  const registry: Registry = {
    stateOf(certificate) {
      const key = certificateKey(certificate);
      if (deleted.has(key) || caState(certificate.instanceId, certificate.caSn) === 'absent') return 'absent';
      return inactive.has(key) ? 'inactive' : 'active';
    },
    device(certificate) {
      const state = registry.stateOf(certificate);
      return state === 'absent' ? undefined : { ...certificate, ...deviceDetails(certificate), state };
    },
    change(certificate, state) {
      const key = certificateKey(certificate);
      if (state === 'inactive') inactive.add(key);
      else inactive.delete(key);
      if (state === 'absent') deleted.add(key);
    },
    ca(instanceId, caSn) {
      const state = caState(instanceId, caSn);
      return state === 'absent' ? undefined : { instanceId, caSn, ...caDetails(instanceId, caSn), state };
    },
    changeCa: (instanceId, caSn, state) => void caStates.set(caKey(instanceId, caSn), state),
    list: () => [],
    countOf: () => 0,
    listCas: () => [],
    get deletedCount() {
      return deleted.size;
    },
    registeredCount: undefined,
  };
  return registry;
}
