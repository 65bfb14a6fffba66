/** Which server to connect to. */

import type { Multiaddr } from 'polypeer'

const PARAMETER = 'server'

/** Nobody told this page of a server. */
export class NoServerError extends Error {
  override name = 'NoServerError'
}

/** The address that the page's own address names: `?server=/ip4/…/ws/p2p/…`. */
export function chosenServer(): Multiaddr | undefined {
  return new URLSearchParams(location.search).get(PARAMETER)?.trim() || undefined
}

/** Writes the choice into the page's address, so that it outlives a reload and can be passed on. */
export function chooseServer(address: Multiaddr | undefined): void {
  const url = new URL(location.href)
  if (address === undefined) url.searchParams.delete(PARAMETER)
  else url.searchParams.set(PARAMETER, address)
  // An address reads better with its slashes.
  url.search = url.search.replaceAll('%2F', '/')
  history.replaceState(null, '', url)
}

/**
 * The addresses of the server: the chosen one, or those of `server.json`, which
 * `npm start` serves beside the page. Asked anew before each attempt, as a
 * server that was started again may have moved.
 *
 * @throws {NoServerError} there is neither.
 */
export async function serverAddresses(signal: AbortSignal): Promise<readonly Multiaddr[]> {
  const chosen = chosenServer()
  if (chosen !== undefined) return [chosen]
  let body: unknown
  try {
    const response = await fetch(new URL('server.json', document.baseURI), { signal, cache: 'no-store' })
    if (!response.ok) throw new NoServerError(`server.json: ${response.status} ${response.statusText}`)
    body = await response.json()
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof NoServerError) throw cause
    throw new NoServerError('server.json cannot be read', { cause })
  }
  const addresses = listOf(body).filter(isWebSocket)
  if (addresses.length === 0) throw new NoServerError('server.json names no WebSocket address')
  return addresses
}

function listOf(body: unknown): string[] {
  const list = typeof body === 'object' && body !== null && 'addresses' in body ? body.addresses : undefined
  return Array.isArray(list) ? list.filter((address) => typeof address === 'string') : []
}

/** Pages can dial nothing else. */
function isWebSocket(address: Multiaddr): boolean {
  return /\/wss?(\/|$)/.test(address)
}
