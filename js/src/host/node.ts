/** Node: TCP, WebSocket and WebRTC direct, dialing and listening. */

import { resolveTxt } from 'node:dns/promises'
import type { AddressInfo, Server } from 'node:net'
import { socketAddress, tcpMultiaddr } from '../address.js'
import { ListenError, PolypeerError, TransportError, UnsupportedError } from '../errors.js'
import type { Host, Link, Listening } from '../host.js'
import { verify } from '../verify.js'
import { reachable } from './node-interfaces.js'
import { multicast } from './node-multicast.js'
import { dialTcp, listenTcp } from './node-tcp.js'
import { dialWs, listenWs } from './node-ws.js'
import { NodeDirect } from './webrtc/node-direct.js'

/** Addresses of one `/dnsaddr` name that are tried. */
const MAX_DNSADDR = 16
/** `/dnsaddr` records that lead to further `/dnsaddr` names are followed so deep. */
const MAX_DNSADDR_DEPTH = 3

/** What Node can do. */
export const nodeHost: Host = {
  dial: (address, signal) => dial(address, signal, 0),
  listen,
  multicast,
  webRtcDirect: (options) => new NodeDirect(options),
  defer: (callback) => process.nextTick(callback),
  unref: (timer) => {
    if (typeof timer === 'object') timer.unref()
  },
  verify,
}

async function dial(address: string, signal: AbortSignal, depth: number): Promise<Link> {
  if (address.startsWith('/dnsaddr/')) return dialDnsaddr(address, signal, depth)
  const parsed = socketAddress(address)
  return parsed.transport === 'tcp' ? dialTcp(parsed, signal) : dialWs(parsed, address, signal)
}

/** Tries what the name's TXT records list, one after another (libp2p specs "addressing"). */
async function dialDnsaddr(address: string, signal: AbortSignal, depth: number): Promise<Link> {
  const [, , name = '', ...rest] = address.split('/')
  if (depth >= MAX_DNSADDR_DEPTH) throw new TransportError(`${address} leads from name to name`)
  const suffix = rest.length > 0 ? `/${rest.join('/')}` : ''
  let last: unknown = new TransportError(`${name} has no address for ${suffix === '' ? 'anyone' : suffix}`)
  const records = await resolveTxt(`_dnsaddr.${name}`).catch((error: Error) => {
    throw new TransportError(`${name} cannot be resolved: ${error.message}`, { cause: error })
  })
  const found = records
    .map((parts) => parts.join(''))
    .filter((text) => text.startsWith('dnsaddr=') && text.endsWith(suffix))
    .slice(0, MAX_DNSADDR)
  for (const text of found) {
    signal.throwIfAborted()
    try {
      return await dial(text.slice('dnsaddr='.length), signal, depth + 1)
    } catch (error) {
      last = error
    }
  }
  throw last
}

async function listen(address: string, accept: (link: Link) => void): Promise<Listening> {
  const parsed = socketAddress(address)
  if (parsed.transport === 'wss' || parsed.family.startsWith('dns')) {
    throw new UnsupportedError(
      `cannot listen on ${address}: give /ip4 or /ip6, /tcp, and /ws if it is to be a WebSocket`,
    )
  }
  const suffix = parsed.transport === 'ws' ? '/ws' : ''
  const server = await (suffix === '' ? listenTcp : listenWs)(parsed, accept).catch((error: unknown) => {
    if (error instanceof PolypeerError) throw error
    throw new ListenError(address, `cannot listen on ${address}: ${(error as Error).message}`, {
      cause: error,
    })
  })
  const { port } = server.address() as AddressInfo
  return {
    addresses: reachable(parsed.host).map((host) => `${tcpMultiaddr(host, port)}${suffix}`),
    close: () => closeServer(server),
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // Resolves when the last connection is gone as well, which the node sees to.
    server.close(() => resolve())
  })
}
