/** The network interfaces of this machine. */

import { networkInterfaces } from 'node:os'

/** The addresses that a wildcard stands for. */
export function reachable(host: string): readonly string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host]
  const family = host === '::' ? 'IPv6' : 'IPv4'
  return Object.values(networkInterfaces())
    .flatMap((own) => own ?? [])
    .filter((own) => own.family === family && (own.scopeid ?? 0) === 0)
    .map((own) => own.address)
}
