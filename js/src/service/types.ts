/** Protocols of one's own: services with sessions, timers, priorities and bounded queues. */

import type { AbortOptions } from '../abort.js'
import type { PolypeerError } from '../errors.js'
import type { Connection, PeerId } from '../types.js'

/**
 * What a service speaks: one name, several of which the best is first, or
 * versions. `{ name: '/chat', versions: '^1.2', own: '1.4.0' }` answers to
 * `/chat/1.4.0` and gets on with every remote that speaks `/chat/1.2.0` or later
 * ones before `/chat/2.0.0`, the highest first. The range is in Cargo's notation.
 */
export type ServiceProtocol =
  | string
  | readonly string[]
  | { readonly name: string; readonly versions: string; readonly own: string }

/** Which messages go first: `high` ones before all others that wait. */
export type Priority = 'normal' | 'high'

/** Why a session is over. */
export type SessionEnd =
  /** The remote finished it. */
  | 'remote'
  /** The remote gave it up, or broke the rules: a message that is too long, say. */
  | 'reset'
  /** We closed it. */
  | 'local'
  /** A callback failed. */
  | 'failed'
  /** Another stream of the same peer took its place. */
  | 'replaced'
  /** The remote took nothing for {@link ServiceOptions.patience}. */
  | 'stalled'
  /** Its connection is over. */
  | 'disconnected'

/** How a service runs. Only the protocol must be given. */
export interface ServiceOptions {
  /** What it is called, and what it gets on with. */
  readonly protocol: ServiceProtocol
  /** The longest message in bytes, in and out. Default: 256 KiB. */
  readonly maxMessage?: number
  /** Whether it is opened on every connected peer that speaks it, by the side that dialed. Default: true. */
  readonly automatic?: boolean
  /** Whether sessions run on connections that a relay limits too. Default: false. */
  readonly limited?: boolean
  /** Sessions at a time. Default: 1024. */
  readonly maxSessions?: number
  /** Bytes that wait for one peer to read; each message counts for 1 KiB at least. Default: 1 MiB. */
  readonly queue?: number
  /** What happens to a message that finds the queue full. Default: `refuse`. */
  readonly full?: 'refuse' | 'drop-oldest'
  /** How long, in milliseconds, a peer may take nothing of what waits. Default: 60,000. */
  readonly patience?: number
  /** Sessions that one peer may open in a minute. Default: 12. */
  readonly openings?: number
}

/** A session with one peer. */
export interface ServiceSession {
  /** Who is at the other end. */
  readonly peer: PeerId
  /** The connection that carries it. */
  readonly connection: Connection
  /** The name and version that was agreed on. */
  readonly protocol: string
  /** Who opened it. */
  readonly direction: 'inbound' | 'outbound'
  /** Whether it is open. */
  readonly open: boolean
  /** Bytes that wait for the peer to read. */
  readonly queued: number
  /**
   * Sends a message; how many older ones were dropped for it.
   *
   * @throws {LimitError} it is too long, or the queue is full and messages are refused.
   * @throws {StreamClosedError} the session is over.
   */
  send(message: Uint8Array, priority?: Priority): number
  /** Resolves when nothing waits for the peer: the time to send more. */
  drained(): Promise<void>
  /**
   * Calls `notified` once, in so many milliseconds; a timer of the same name is set anew.
   *
   * @throws {LimitError} 32 timers are set already.
   */
  setTimer(token: string, ms: number): void
  /** Undoes {@link ServiceSession.setTimer}. */
  clearTimer(token: string): void
  /** Closes the session; what waits for the peer is dropped. */
  close(): void
}

/**
 * What handles one session for its life, made by {@link Service.session}. A
 * callback that throws or rejects closes the session and is told as `service:error`.
 */
export interface SessionHandler {
  /** The session is open; comes first. */
  connected?(session: ServiceSession): void | Promise<void>
  /** A message came. The next one is read when this is done: a slow handler slows its sender. */
  received?(message: Uint8Array, session: ServiceSession): void | Promise<void>
  /** A timer of the session has run off. */
  notified?(token: string, session: ServiceSession): void | Promise<void>
  /** The session is over; comes last. */
  disconnected?(end: SessionEnd, session: ServiceSession): void | Promise<void>
}

/** A protocol for the life of the node: an object or an instance of a class with some of these. */
export interface Service {
  /** A peer's protocol has opened: what handles this session; `false` refuses it. */
  session?(session: ServiceSession, service: RunningService): SessionHandler | undefined | false
  /** A session is open. */
  connected?(session: ServiceSession, service: RunningService): void | Promise<void>
  /** A message came; the session's own handler gets it after this. */
  received?(message: Uint8Array, session: ServiceSession, service: RunningService): void | Promise<void>
  /** A timer of the service has run off. */
  notified?(token: string, service: RunningService): void | Promise<void>
  /** A session is over. */
  disconnected?(end: SessionEnd, session: ServiceSession, service: RunningService): void | Promise<void>
}

/** A service that runs. */
export interface RunningService {
  /** What it is called: its first name. */
  readonly name: string
  /** The open sessions. */
  readonly sessions: readonly ServiceSession[]
  /** The session with `peer`. */
  session(peer: PeerId): ServiceSession | undefined
  /** Opens a session with a connected peer, or returns the one there is. */
  open(peer: PeerId, options?: AbortOptions): Promise<ServiceSession>
  /** Sends a message to all whom `filter` picks; how many it is on its way to. */
  broadcast(
    message: Uint8Array,
    options?: { readonly filter?: (session: ServiceSession) => boolean; readonly priority?: Priority },
  ): number
  /**
   * Calls `notified` once, in so many milliseconds; a timer of the same name is set anew.
   *
   * @throws {LimitError} 32 timers are set already.
   */
  setTimer(token: string, ms: number): void
  /** Undoes {@link RunningService.setTimer}. */
  clearTimer(token: string): void
  /** Ends the service and its sessions. */
  close(): void
}

/** The `detail` of `service:error`: all errors of services come there. */
export interface ServiceErrorDetail {
  /** The service's first name. */
  readonly service: string
  /** The peer that it is about, if any. */
  readonly peer: PeerId | undefined
  /** What a callback threw, or a {@link PolypeerError}. */
  readonly error: unknown | PolypeerError
}
