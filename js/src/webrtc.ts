/** WebRTC: peer connections for the core, and what it makes of relayed connections. */

import type { Core as FullCore } from '../generated/core.js'
import { type Core, now, type Records } from './core.js'
import type { Engine } from './engine.js'
import { InvalidArgumentError, type PolypeerError, UnsupportedError } from './errors.js'
import { errorOf } from './failures.js'
import { isDirect } from './host/webrtc/direct.js'
import { BorrowedRtc } from './host/webrtc/lend.js'
import { canConnect, PageRtc } from './host/webrtc/peers.js'
import {
  ANSWER,
  type CertificateOptions,
  type Direct,
  type DirectRtc,
  type IceOptions,
  OFFER,
  type Rtc,
} from './host/webrtc/rtc.js'
import type { Host, Link, Listening } from './host.js'

import type { Connection, PeerId } from './types.js'

/** How a node uses WebRTC. */
export interface WebRtcOptions extends IceOptions, CertificateOptions {
  /**
   * In a worker: the port to a page that lends its peer connections, from
   * `webRtcPort`. Pages have their own.
   */
  readonly port?: MessagePort
  /** Connections that we dialed through a relay become direct by themselves. Default: true. */
  readonly upgrade?: boolean
}

/** The events about direct connections, by name, and the type of their `detail`. */
export interface WebRtcEvents {
  /** A peer that was connected through a relay is connected directly: by this connection. */
  'connection:upgraded': Connection
  /**
   * No direct connection came up beside one through a relay, which stays; it is tried
   * again after so many milliseconds.
   */
  'upgrade:failed': {
    readonly peer: PeerId
    readonly connection: Connection
    readonly error: PolypeerError
    readonly after: number
  }
}

/** The address to listen on for WebRTC connections through relays. */
export const WEBRTC = '/webrtc'

/** The WebRTC part of a full node. */
export class WebRtc {
  readonly #core: Core<FullCore>
  readonly #engine: Engine
  /** What makes peer connections, for `/webrtc`; not every platform can. */
  readonly #rtc: Rtc | undefined
  readonly #direct: DirectRtc

  /** The part, where this platform has what it needs; `false` forbids it. */
  static create(
    core: Core<FullCore>,
    engine: Engine,
    host: Host,
    option: boolean | MessagePort | WebRtcOptions | undefined,
  ): WebRtc | undefined {
    if (option === false) return undefined
    const options = optionsOf(option)
    if (options.certificate !== undefined && options.certificateStore !== undefined) {
      throw new InvalidArgumentError('give certificate or certificateStore, not both')
    }
    let rtc: Rtc | undefined
    if (options.port !== undefined) rtc = new BorrowedRtc(options.port)
    else if (canConnect()) rtc = new PageRtc(options)
    const direct = host.webRtcDirect?.(options) ?? rtc
    if (direct !== undefined) return new WebRtc(core, engine, direct, rtc, options)
    if (option === undefined) return undefined
    throw new UnsupportedError('there is no RTCPeerConnection here: in a worker, have a page lend its own')
  }

  private constructor(
    core: Core<FullCore>,
    engine: Engine,
    direct: DirectRtc,
    rtc: Rtc | undefined,
    options: WebRtcOptions,
  ) {
    this.#core = core
    this.#engine = engine
    this.#direct = direct
    this.#rtc = rtc
    engine.dialer = (address, signal) => (isDirect(address) ? this.#dial(address, signal) : undefined)
    if (rtc !== undefined) this.#begin(rtc, options)
  }

  #begin(rtc: Rtc, options: WebRtcOptions): void {
    const { raw } = this.#core
    const engine = this.#engine
    const act = (call: () => void): void => {
      if (engine.stopped) return
      call()
      engine.turn()
    }
    rtc.start({
      described: (id, text) => act(() => raw.rtc_described(now(), id, text)),
      found: (id, text) => act(() => raw.rtc_found(now(), id, text)),
      failed: (id, text) => act(() => raw.rtc_failed(now(), id, text)),
      connected: (id, link) => {
        if (!engine.settle(id)) return link.destroy()
        act(() => {
          if (raw.rtc_connected(now(), id)) engine.attach(id, link)
          else link.destroy()
        })
      },
    })
    raw.enable_webrtc(now(), options.upgrade ?? true)
  }

  /** Takes connections that peers offer through relays. */
  listen(): void {
    if (this.#rtc === undefined)
      throw new UnsupportedError('there is no RTCPeerConnection here to listen with')
    this.#core.raw.listen_on_webrtc(now())
  }

  /** Listens on an address of WebRTC direct; `take` gets each link. */
  listenDirect(address: string, take: (link: Link) => void): Promise<Listening> {
    const { raw } = this.#core
    const accept = ({ link, client, server }: Direct): void => {
      const accepted = (): number => raw.accepted_direct(now(), link.remote, client, server)
      take(Object.assign(link, { accepted }))
    }
    const opening = this.#direct.listen?.(address, accept)
    return opening ?? Promise.reject(new UnsupportedError(`a page cannot listen on ${address}`))
  }

  /** Takes another page's peer connections, for when those that are used now are gone. */
  borrow(port: MessagePort): void {
    if (!(this.#rtc instanceof BorrowedRtc)) {
      throw new InvalidArgumentError('this node has peer connections of its own')
    }
    this.#rtc.borrow(port)
  }

  /** What the core wants of a peer connection. */
  onOrder(body: Records): void {
    const [id, kind, text] = [body.number(), body.byte(), body.text()]
    if (kind === OFFER || kind === ANSWER) this.#engine.await(id, () => this.#rtc?.drop(id))
    this.#rtc?.order(id, kind, text)
  }

  stop(): void {
    this.#rtc?.stop()
  }

  async #dial(address: string, signal: AbortSignal) {
    const { link, client, server } = await this.#direct.direct(address, signal)
    const { raw } = this.#core
    return Object.assign(link, {
      connected: (id: number) => raw.connected_direct(now(), id, client, server),
    })
  }
}

function optionsOf(option: boolean | MessagePort | WebRtcOptions | undefined): WebRtcOptions {
  if (typeof option !== 'object') return {}
  const isPort = (one: WebRtcOptions | MessagePort): one is MessagePort => 'postMessage' in one
  return isPort(option) ? { port: option } : option
}

/** What the record of a failed upgrade says, but for its connection. */
export function upgradeFailure(body: Records): { after: number; error: PolypeerError } {
  return { after: body.number() / 1000, error: errorOf(body.failure()) }
}
