/** Whether an address or a host name, an IPv6 address in brackets or not, is this host's own. A name that a resolver would have to be asked for is not. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || /^127(?:\.\d{1,3}){3}$/.test(bare);
}
