/** The room on the server, where pages meet: enters it, stays in it, comes back when it was lost. */

import type { Connection, Multiaddr, PeerId, PeerNode, Stream } from 'polypeer'
import { FrameError, FrameReader } from './frames'
import { isFinal } from './remedy'
import { serverAddresses } from './server'

const CHAT = '/polypeer/chat/1.0.0'

/** How long finding, dialing and entering may take, in milliseconds. */
const ENTER_MS = 10_000
/** How often the round trip is measured, in milliseconds. */
const PING_EVERY_MS = 4_000
/** How long an answer to a ping may take, in milliseconds. */
const PING_MS = 5_000
/** Unanswered pings after which the connection counts as dead. */
const MAX_LOST_PINGS = 2
/** The first pause before another attempt and the longest, in milliseconds; it doubles in between. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000

/** Where this page stands with its server. */
export type Status =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected'; readonly server: PeerId; readonly address: Multiaddr }
  /** Trying again at `retryAt` (milliseconds of Unix time); never if undefined. */
  | { readonly kind: 'waiting'; readonly error: unknown; readonly retryAt: number | undefined }

/** What the room tells the page. */
export interface RoomListener {
  status(status: Status): void
  /** So many are there; of them these, the newest first. */
  members(count: number, present: readonly PeerId[]): void
  roundTrip(ms: number): void
  agent(agent: string): void
}

/** The server ended the stream, without saying why. */
export class RoomClosedError extends Error {
  override name = 'RoomClosedError'
}

export class Room {
  readonly #node: PeerNode
  readonly #listener: RoomListener
  /** Aborted to give up the present attempt, pause or stay. */
  #turn = new AbortController()
  #pausing = false
  #server: PeerId | undefined

  constructor(node: PeerNode, listener: RoomListener) {
    this.#node = node
    this.#listener = listener
    node.addEventListener('peer:identify', ({ detail }) => {
      if (detail.peer === this.#server) listener.agent(detail.agent)
    })
    void this.#run()
  }

  /** Tries now what would be tried later: the person asked, or the network is back. */
  hurry(): void {
    if (this.#pausing) this.#turn.abort()
  }

  /** Leaves the present server for the one that is chosen now. */
  move(): void {
    this.#turn.abort()
  }

  async #run(): Promise<never> {
    let failures = 0
    for (;;) {
      this.#turn = new AbortController()
      const { signal } = this.#turn
      this.#listener.status({ kind: 'connecting' })
      const error = await this.#stay(signal, () => {
        failures = 0
      })
      if (signal.aborted) {
        failures = 0
        continue
      }
      const pause = isFinal(error) ? undefined : pauseAfter(failures++)
      const retryAt = pause === undefined ? undefined : Date.now() + pause
      this.#listener.status({ kind: 'waiting', error, retryAt })
      this.#pausing = true
      await elapsed(pause, signal)
      this.#pausing = false
    }
  }

  /** Connects, enters, and takes part to the end; resolves with what ended it. */
  async #stay(signal: AbortSignal, entered: () => void): Promise<unknown> {
    let connection: Connection | undefined
    let pinging: ReturnType<typeof setInterval> | undefined
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(ENTER_MS)])
      connection = await this.#node.dial(await serverAddresses(limit), { signal: limit })
      this.#server = connection.peer
      const stream = await connection.openStream(CHAT, { signal: limit })
      signal.addEventListener('abort', () => stream.abort(signal.reason))
      pinging = this.#keepPinging(stream)
      const frames = new FrameReader()
      let inside = false
      for await (const bytes of stream) {
        for (const frame of frames.read(bytes)) {
          const message = parse(frame)
          if (!inside) {
            inside = true
            entered()
            this.#listener.status({
              kind: 'connected',
              server: connection.peer,
              address: connection.remoteAddress,
            })
          }
          // Members that are no pages may say something there, which has no list.
          if (message.peers !== undefined) this.#listener.members(message.members, message.peers)
        }
      }
      throw new RoomClosedError('the server closed the room')
    } catch (error) {
      return error
    } finally {
      clearInterval(pinging)
      // Not waited for: the link may be dead.
      void connection?.close()
    }
  }

  /** Measures the round trip now and then; a stay on a connection that does not answer is over. */
  #keepPinging(stream: Stream): ReturnType<typeof setInterval> {
    let lost = 0
    const ping = async (): Promise<void> => {
      try {
        this.#listener.roundTrip(await stream.connection.ping({ signal: AbortSignal.timeout(PING_MS) }))
        lost = 0
      } catch {
        lost++
        if (lost >= MAX_LOST_PINGS) stream.abort(new RoomClosedError('the server does not answer'))
      }
    }
    void ping()
    return setInterval(ping, PING_EVERY_MS)
  }
}

function parse(frame: Uint8Array): { members: number; peers: readonly PeerId[] | undefined } {
  const message: unknown = JSON.parse(new TextDecoder().decode(frame))
  if (typeof message !== 'object' || message === null) throw new FrameError('not a message of the room')
  const { members, peers } = message as Record<string, unknown>
  if (typeof members !== 'number' || !(peers === undefined || isListOfText(peers)))
    throw new FrameError('not a message of the room')
  return { members, peers }
}

function isListOfText(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** Doubles, and is never quite the same, so that pages do not come back all at once. */
function pauseAfter(failures: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures)
  return longest * (0.75 + Math.random() / 4)
}

/** Resolves after `ms`, or never if undefined, or at once when `signal` is aborted. */
function elapsed(ms: number | undefined, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
