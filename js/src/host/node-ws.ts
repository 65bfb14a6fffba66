/** WebSocket over sockets of `node:net` and `node:tls`. */

import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { isIP, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { type SocketAddress, tcpMultiaddr, webSocketUrl } from '../address.js'
import { TransportError } from '../errors.js'
import type { Link } from '../host.js'
import { Reader, SocketLink } from './node-link.js'
import { bind, connectTcp, familyOf, localOf } from './node-tcp.js'
import { WebSocketFraming } from './ws-frames.js'
import { ResponseReader, refusal, request, response } from './ws-handshake.js'

/** How long, in milliseconds, a client may take to ask for a WebSocket. */
const REQUEST_MS = 10_000

/** Opens a WebSocket connection. */
export function dialWs(address: SocketAddress, remote: string, signal: AbortSignal): Promise<Link> {
  const url = new URL(webSocketUrl(address))
  const key = randomBytes(16).toString('base64')
  const answer = new ResponseReader(key)
  const reader = new Reader()
  const socket = address.transport === 'wss' ? connectTls(address, reader) : connectTcp(address, reader)
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      reject(error instanceof TransportError ? error : new TransportError(error.message, { cause: error }))
    }
    const abort = (): void => failed(new TransportError('the dial was given up'))
    const closed = (): void => failed(new TransportError('the server closed before it answered'))
    signal.addEventListener('abort', abort, { once: true })
    socket.on('error', failed)
    socket.once('close', closed)
    socket.once(address.transport === 'wss' ? 'secureConnect' : 'connect', () => {
      socket.write(request(url, key))
    })
    reader.listen((bytes) => {
      let early: Uint8Array | undefined
      try {
        early = answer.take(bytes)
      } catch (error) {
        failed(error as Error)
        return
      }
      if (early === undefined) return
      signal.removeEventListener('abort', abort)
      socket.off('error', failed)
      socket.off('close', closed)
      const framing = new WebSocketFraming('client')
      resolve(new SocketLink(socket, { remote, local: `${localOf(socket)}/ws`, framing, reader, early }))
    })
  })
}

function connectTls(address: SocketAddress, { onread }: Reader): Socket {
  const { host, port, serverName = host } = address
  const servername = isIP(serverName) === 0 ? { servername: serverName } : {}
  const options = { host, port, family: familyOf(address), ...servername, onread }
  const socket = tlsConnect(options)
  socket.setNoDelay(true)
  return socket
}

/** Listens for WebSockets over HTTP; resolves once the port is ours. */
export function listenWs(address: SocketAddress, accept: (link: Link) => void): Promise<Server> {
  const http = createServer({ noDelay: true, headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS })
  http.on('request', ({ socket }) => socket.end(refusal))
  http.on('upgrade', (message, socket: Socket, early) => {
    const answer = response(message)
    socket.on('error', () => {})
    if (answer === undefined) {
      socket.end(refusal)
      return
    }
    const { remoteAddress = '', remotePort = 0 } = socket
    const remote = `${tcpMultiaddr(remoteAddress, remotePort)}/ws`
    const local = `${localOf(socket)}/ws`
    socket.write(answer)
    accept(new SocketLink(socket, { remote, local, framing: new WebSocketFraming('server'), early }))
  })
  return bind(http, address) as Promise<Server>
}
