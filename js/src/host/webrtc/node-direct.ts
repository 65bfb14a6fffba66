/**
 * WebRTC direct in Node, without an addon: the stack is WebAssembly and is loaded
 * when it is first used, the sockets are Node's.
 */

import { ListenError, TransportError, UnsupportedError } from '../../errors.js'
import type { Listening } from '../../host.js'
import { reachable } from '../node-interfaces.js'
import { type DirectAddress, directAddress } from './direct.js'
import { DirectListener } from './node-listener.js'
import { SessionLink } from './node-session.js'
import { Stack } from './node-stack.js'
import { connectSocket, directMultiaddr, hasRoom, openSocket, socketText } from './node-udp.js'
import type { CertificateOptions, Direct, DirectRtc } from './rtc.js'

/**
 * How long a listener may take to answer version 2 before version 1 is tried, in
 * milliseconds: those that do not know a version do not say so.
 */
const PATIENCE_MS = 2_000

/** See {@link DirectRtc}. */
export class NodeDirect implements DirectRtc {
  readonly #options: CertificateOptions
  #stack: Stack | undefined
  /** What listeners show, in PEM, once there is one. */
  #certificate: Promise<Uint8Array> | undefined

  constructor(options: CertificateOptions) {
    this.#options = options
  }

  async direct(address: string, signal: AbortSignal): Promise<Direct> {
    const target = directAddress(address)
    const stack = this.#working(await Stack.load())
    const begin = (version: 1 | 2): Promise<SessionLink> => dial(stack, version, address, target, signal)
    let link = await begin(2)
    if (!(await link.heard(PATIENCE_MS))) {
      link.destroy()
      link = await begin(1)
    }
    return link.opened()
  }

  async listen(address: string, accept: (direct: Direct) => void): Promise<Listening> {
    const [, host, port] = /^\/ip[46]\/([^/]+)\/udp\/(\d+)\/webrtc-direct$/.exec(address) ?? []
    if (host === undefined || port === undefined) {
      throw new UnsupportedError(`cannot listen on ${address}: give /ip4 or /ip6, /udp and /webrtc-direct`)
    }
    const module = await Stack.load()
    this.#certificate ??= this.#kept(this.#working(module))
    const certificate = await this.#certificate
    const hash = Buffer.from(this.#working(module).identity(certificate)).toString('base64url')
    const stack = (): Stack => this.#working(module, certificate)
    const socket = await openSocket(host, Number(port)).catch((error: Error) => {
      throw new ListenError(address, `cannot listen on ${address}: ${error.message}`, { cause: error })
    })
    const listener = new DirectListener(socket, stack, accept)
    const { port: own } = socket.address()
    return {
      addresses: reachable(host).map((one) => `${directMultiaddr(one, own)}/certhash/u${hash}`),
      close: () => listener.close(),
    }
  }

  /** A stack that works: a new one if one has met what it was not made for. */
  #working(module: WebAssembly.Module, certificate?: Uint8Array): Stack {
    if (this.#stack === undefined || this.#stack.failure !== undefined) {
      this.#stack = new Stack(module)
      if (certificate !== undefined) this.#stack.identity(certificate)
    }
    return this.#stack
  }

  async #kept(stack: Stack): Promise<Uint8Array> {
    const { certificate, certificateStore } = this.#options
    if (certificate !== undefined) return certificate
    const kept = await certificateStore?.load()
    if (kept !== undefined) return kept
    const made = stack.certificate()
    return certificateStore?.save(made) ?? made
  }
}

/** Begins a session with a listener, from a port of its own. */
async function dial(
  stack: Stack,
  version: 1 | 2,
  address: string,
  { host, port, certificate }: DirectAddress,
  signal: AbortSignal,
): Promise<SessionLink> {
  signal.throwIfAborted()
  const socket = await openSocket(host)
  try {
    await connectSocket(socket, host, port)
    const number = stack.dial(version, certificate, socketText(host, port))
    const path = {
      send: (datagram: Uint8Array) => {
        if (hasRoom(socket)) socket.send(datagram)
      },
      close: () => socket.close(),
    }
    const link = new SessionLink(stack, number, path, address)
    socket.on('message', (datagram) => link.handle(datagram))
    // That nobody is there is an answer while nobody has answered; later whoever is
    // there will be heard, or will not.
    socket.on('error', ({ message }) => link.giveUp(new TransportError(`${address}: ${message}`)))
    const abort = (): void => link.giveUp(new TransportError('the dial was given up'))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    return link
  } catch (error) {
    socket.close()
    throw new TransportError(`${address}: ${(error as Error).message}`, { cause: error })
  }
}

/** A new certificate for {@link NodeDirect}, in PEM. */
export async function newCertificate(): Promise<Uint8Array> {
  return new Stack(await Stack.load()).certificate()
}
