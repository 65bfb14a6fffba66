/** UDP by `node:dgram`, as sessions use it. */

import { createSocket, type Socket } from 'node:dgram'

/** What the system keeps of what comes and goes, where it permits so much. */
const SOCKET_BYTES = 4 * 1024 * 1024
/** Bytes that may wait to be sent; further datagrams are lost, as datagrams may be. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024

export const isIp6 = (host: string): boolean => host.includes(':')

/** `192.0.2.1:4001` or `[2001:db8::1]:4001`, without a zone. */
export function socketText(host: string, port: number): string {
  const [plain = host] = host.split('%')
  return isIp6(host) ? `[${plain}]:${port}` : `${plain}:${port}`
}

/** `/ip4/192.0.2.1/udp/4001/webrtc-direct` */
export function directMultiaddr(host: string, port: number): string {
  const [plain = host] = host.split('%')
  return `/${isIp6(host) ? 'ip6' : 'ip4'}/${plain}/udp/${port}/webrtc-direct`
}

/** A socket for the addresses of `host`'s kind, bound to `host` if `port` is given. */
export async function openSocket(host: string, port?: number): Promise<Socket> {
  const six = isIp6(host)
  const socket = createSocket({
    type: six ? 'udp6' : 'udp4',
    // IPv4 has sockets of its own.
    ipv6Only: six,
    // All hosts are addresses: nothing is to be looked up, or waited for.
    lookup: (name, _options, callback) => callback(null, name, six ? 6 : 4),
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      reject(error)
    })
    socket.bind({ port: port ?? 0, ...(port === undefined ? {} : { address: host }) }, resolve)
  })
  socket.removeAllListeners('error')
  try {
    socket.setRecvBufferSize(SOCKET_BYTES)
    socket.setSendBufferSize(SOCKET_BYTES)
  } catch {
    // The system's own sizes serve too, if less well.
  }
  return socket
}

/** Whether `socket` takes one more datagram. */
export const hasRoom = (socket: Socket): boolean => socket.getSendQueueSize() < MAX_QUEUED_BYTES

/** Connects `socket` to whom it alone speaks to. */
export function connectSocket(socket: Socket, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // Without a callback for it, Node would tell a failure as an event.
    socket.connect(port, host, (error?: Error) => (error === undefined ? resolve() : reject(error)))
  })
}

/**
 * Where `socket` is for `remote`: in place of a wildcard the address that the system
 * sends from to there, if it says so.
 */
export async function localAddress(
  socket: Socket,
  remote: { readonly address: string; readonly port: number },
): Promise<string | undefined> {
  const { address, port } = socket.address()
  if (address !== '0.0.0.0' && address !== '::') return directMultiaddr(address, port)
  let probe: Socket | undefined
  try {
    probe = await openSocket(remote.address)
    // Connecting a datagram socket sends nothing.
    await connectSocket(probe, remote.address, remote.port)
    return directMultiaddr(probe.address().address, port)
  } catch {
    return undefined
  } finally {
    probe?.close()
  }
}
