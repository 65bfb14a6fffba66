/** What a platform gives: sockets, and a little more. The rest is the same everywhere. */

import type { ConnectionId, VerifyRequest } from './core.js'
import type { CertificateOptions, DirectRtc } from './host/webrtc/rtc.js'

/** What a link tells of itself, called at most once a turn of the event loop each. */
export interface LinkEvents {
  /** Bytes came, behind a `head` if there is one. They may be changed and are not kept. */
  data(bytes: Uint8Array, head?: Uint8Array): void
  /** There is room again after {@link Link.ready} was false. */
  drain(): void
  /** The link is over; nothing follows. */
  end(error?: Error): void
}

/** An open socket that carries bytes in order. */
export interface Link {
  /** The remote's end. */
  readonly remote: string
  /** Our end, where the platform tells it. */
  readonly local?: string | undefined
  /** Whether it takes more: false while the remote, or the network, lags behind. */
  readonly ready: boolean
  /** Tells the core of it, where that takes more than that it is there; whether it is still wanted. */
  connected?(connection: ConnectionId): boolean
  /** The same of one that the host accepted: the connection's number, or -1. */
  accepted?(): ConnectionId
  /** Starts the flow of events. */
  start(events: LinkEvents): void
  /** Sends `bytes`, which the caller may reuse at once. */
  send(bytes: Uint8Array): void
  /** Takes no more from the socket until {@link Link.resume}, where the platform can. */
  pause(): void
  /** Undoes {@link Link.pause}. */
  resume(): void
  /** Closes after what was sent. */
  close(): void
  /** Closes at once. */
  destroy(): void
}

/** An open listening socket. */
export interface Listening {
  /** Where others reach it; every interface of a wildcard address. */
  readonly addresses: readonly string[]
  /** Closes it. Links that it accepted stay. */
  close(): Promise<void>
}

/** Datagrams to a group of the local networks. */
export interface Multicast {
  /** The port that is heard on. */
  readonly port: number
  /** Sends a datagram on all networks; some may be lost. */
  send(packet: Uint8Array): void
  /** Ends after what was sent. */
  close(): Promise<void>
}

/** What comes from a group. */
export interface MulticastEvents {
  receive(packet: Uint8Array): void
  /** There is a network that was not there before. */
  changed(): void
}

/** A platform. */
export interface Host {
  /**
   * Connects to `address`, resolving its name.
   *
   * @throws {UnsupportedError} this platform cannot dial that.
   * @throws {TransportError} there is no connection to be had.
   */
  dial(address: string, signal: AbortSignal): Promise<Link>
  /**
   * Listens on `address`; `accept` gets each link.
   *
   * @throws {UnsupportedError} this platform cannot listen on that.
   * @throws {ListenError} the address cannot be had.
   */
  listen(address: string, accept: (link: Link) => void): Promise<Listening>
  /**
   * Belongs to the groups of multicast DNS on all local networks, or on this machine
   * alone, where there is multicast.
   *
   * @throws {ListenError} the port cannot be had.
   */
  multicast?(port: number, loopback: boolean, events: MulticastEvents): Promise<Multicast>
  /** WebRTC direct without peer connections, for hosts that have it so. */
  webRtcDirect?(options: CertificateOptions): DirectRtc
  /**
   * Runs `callback` after what runs now and before the next news of a socket;
   * where the platform can tell, after promises that are settled already, so
   * that what an application writes in a row leaves in one go.
   */
  defer(callback: () => void): void
  /** Lets the timer not keep the program alive, where that is a question. */
  unref(timer: ReturnType<typeof setTimeout>): void
  /** Checks a signature whose algorithm the core leaves to the platform. */
  verify(request: VerifyRequest): Promise<boolean>
}
