/** What is said in the room: a topic between pages, which pass on what they hear. */

import type { PeerId, PeerNode, PubsubMessage, Topic } from 'polypeer'

export const TOPIC = '/polypeer/room/1.0.0'

/** The longest line in bytes: what the page lets one write, in whatever script. */
const MAX_LINE_BYTES = 4096
/** Lines of one peer that are taken at once, and then one every {@link REFILL_MS}; more are dropped. */
const BURST = 20
const REFILL_MS = 200
/** Peers whose pace is known; the one that spoke longest ago is forgotten first. */
const MAX_PACES = 1000

/** A line that somebody said. */
export interface Line {
  readonly from: PeerId
  readonly text: string
  /** When it came, or was written here, in milliseconds of Unix time. */
  readonly at: number
}

export class Talk {
  readonly #topic: Topic
  readonly #paces = new Map<PeerId, Pace>()

  /** Calls `heard` with each line of others, and with the neighbour that it came from. */
  constructor(node: PeerNode, heard: (line: Line, through: PeerId) => void) {
    this.#topic = node.pubsub.subscribe(TOPIC, {
      maxDataLength: MAX_LINE_BYTES,
      // Who says too much is not passed on: the others are spared it too.
      validator: (message) =>
        textOf(message) === undefined ? 'reject' : this.#pace(message) ? 'accept' : 'ignore',
      onMessage(message) {
        const text = textOf(message)
        if (text === undefined || message.from === undefined) return
        heard({ from: message.from, text, at: Date.now() }, message.receivedFrom)
      },
    })
  }

  /** Says something to all who are there; tells how many were reached at once. */
  say(text: string): number {
    return this.#topic.publish(JSON.stringify({ text })).peers
  }

  #pace({ from }: PubsubMessage): boolean {
    if (from === undefined) return false
    const pace = this.#paces.get(from) ?? new Pace()
    this.#paces.delete(from)
    this.#paces.set(from, pace)
    const [oldest] = this.#paces.keys()
    if (this.#paces.size > MAX_PACES && oldest !== undefined) this.#paces.delete(oldest)
    return pace.step()
  }
}

/** What a message says, if it is a line. */
function textOf({ data }: PubsubMessage): string | undefined {
  try {
    const said: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data))
    const isLine =
      typeof said === 'object' && said !== null && 'text' in said && typeof said.text === 'string'
    return isLine ? (said.text as string) : undefined
  } catch {
    return undefined
  }
}

/** A bucket of {@link BURST} tokens, filled by one every {@link REFILL_MS}. */
class Pace {
  #tokens = BURST
  #filled = Date.now()

  step(): boolean {
    const more = Math.floor((Date.now() - this.#filled) / REFILL_MS)
    this.#tokens = Math.min(BURST, this.#tokens + more)
    this.#filled += more * REFILL_MS
    if (this.#tokens === 0) return false
    this.#tokens--
    return true
  }
}
