/** Topics of a node: what the core tells of them, and to whom. */

import type { Core as FullCore } from '../../generated/core.js'
import { type Core, now, Records } from '../core.js'
import { setTopicDiscovery, startPeerDiscovery } from '../discovery/topics.js'
import type { PubsubPeerDiscoveryOptions, TopicDiscoveryOptions } from '../discovery/types.js'
import { InvalidArgumentError } from '../errors.js'
import { errorOf } from '../failures.js'
import { TopicImpl } from './topic.js'
import type {
  MessageValidator,
  Published,
  Pubsub,
  PubsubEvents,
  PubsubMessage,
  PubsubOptions,
  PubsubStats,
  SubscribeOptions,
  Topic,
  Verdict,
} from './types.js'

/** In the order of the core's numbers. */
const VERDICTS: readonly Verdict[] = ['accept', 'reject', 'ignore']

/** What the topics want of their node. */
export interface PubsubHost {
  /** Whether the node is closed. */
  closed(): boolean
  /** The core, of a node that is not. */
  core(): Core<FullCore>
  /** Has the core's news fetched. */
  touch(): void
  emit<K extends keyof PubsubEvents>(name: K, detail: PubsubEvents[K]): void
}

interface Joined {
  readonly readers: Set<TopicImpl>
  validator: MessageValidator | undefined
}

/** See {@link Pubsub}. */
export class PubsubImpl implements Pubsub {
  readonly #host: PubsubHost
  readonly #joined = new Map<string, Joined>()

  constructor(host: PubsubHost) {
    this.#host = host
  }

  /** Publishes and subscribes from now on; without it with the first topic. */
  start(options: PubsubOptions): void {
    const { mode, sign, ids, floodPublish, peerExchange, limited, choking } = options
    const { mesh = {}, heartbeat, maxRpc } = options
    const flag = (value: boolean | undefined): number => (value === undefined ? -1 : Number(value))
    const counts = [mesh.wanted, mesh.low, mesh.high, heartbeat, maxRpc]
    if (!counts.every((count) => count === undefined || (Number.isInteger(count) && count > 0))) {
      throw new InvalidArgumentError('pubsub: sizes and times are whole numbers above zero')
    }
    const numbers = [
      flag(mode === 'floodsub'),
      flag(sign === false),
      flag(ids === 'content'),
      floodPublish === undefined ? -1 : Number(!floodPublish),
      flag(peerExchange),
      flag(limited),
      ...counts.map((count) => count ?? -1),
      flag(choking),
    ]
    const core = this.#host.core()
    const explicit = (options.explicit ?? []).join('\n')
    const result = core.raw.start_pubsub(now(), Float64Array.from(numbers), explicit)
    if (result < 0) throw errorOf(core.failure(result), options.explicit)
  }

  get topics(): readonly string[] {
    return [...this.#joined.keys()]
  }

  subscribe(topic: string, how: SubscribeOptions | ((message: PubsubMessage) => void) = {}): Topic {
    const options = typeof how === 'function' ? { onMessage: how } : how
    const { validator, maxDataLength = -1, onMessage } = options
    const core = this.#host.core()
    const joined = this.#joined.get(topic) ?? { readers: new Set(), validator: undefined }
    const validated = (validator ?? joined.validator) !== undefined
    const result = core.raw.subscribe(now(), topic, validated, maxDataLength)
    if (result < 0) throw new InvalidArgumentError(core.failure(result).message)
    joined.validator = validator ?? joined.validator
    this.#joined.set(topic, joined)
    const host = {
      peers: (topic: string, mesh: boolean) => this.#peers(topic, mesh),
      publish: (topic: string, data: Uint8Array | string) => this.publish(topic, data),
      left: (reader: TopicImpl) => this.#left(reader),
      failed: (topic: string, error: unknown) => this.#host.emit('topic:error', { topic, error }),
    }
    const reader = new TopicImpl(topic, host, onMessage)
    joined.readers.add(reader)
    this.#host.touch()
    return reader
  }

  publish(topic: string, data: Uint8Array | string): Published {
    const core = this.#host.core()
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
    const peers = core.raw.publish(now(), topic, bytes)
    if (peers < 0) throw errorOf(core.failure(peers), topic)
    this.#host.touch()
    return { peers }
  }

  peersOf(topic: string): readonly string[] {
    return this.#peers(topic, false)
  }

  setDiscovery(options: boolean | TopicDiscoveryOptions): void {
    setTopicDiscovery(this.#host.core(), options)
    this.#host.touch()
  }

  startPeerDiscovery(options: PubsubPeerDiscoveryOptions = {}): void {
    startPeerDiscovery(this.#host.core(), options)
    this.#host.touch()
  }

  score(peer: string): number {
    const score = this.#host.core().raw.pubsub_score(now(), peer)
    if (Number.isNaN(score)) throw new InvalidArgumentError(`not a PeerId: ${peer}`)
    return score
  }

  stats(): PubsubStats {
    const core = this.#host.core()
    const of = new Records(core.output(core.raw.pubsub_stats()).slice())
    return {
      published: of.number(),
      delivered: of.number(),
      duplicates: of.number(),
      rejected: of.number(),
      ignored: of.number(),
      sent: of.number(),
      dropped: of.number(),
      asked: of.number(),
      excess: of.number(),
      peers: of.number(),
      topics: of.number(),
      mesh: of.number(),
    }
  }

  /** What the core tells; see `core/pubsub.rs`. */
  onPart(kind: number, body: Records): void {
    switch (kind) {
      case 130: {
        const message = read(body)
        for (const reader of this.#joined.get(message.topic)?.readers ?? []) reader.received(message)
        break
      }
      case 131:
        void this.#judge(read(body))
        break
      case 132:
        this.#host.emit('topic:join', { topic: body.text(), peer: body.text() })
        break
      case 133:
        this.#host.emit('topic:leave', { topic: body.text(), peer: body.text() })
    }
  }

  /** The node closes: who reads comes to an end. */
  stop(): void {
    const all = [...this.#joined.values()].flatMap(({ readers }) => [...readers])
    this.#joined.clear()
    for (const reader of all) reader.close()
  }

  async #judge(message: PubsubMessage): Promise<void> {
    let verdict: Verdict = 'ignore'
    try {
      const said = await this.#joined.get(message.topic)?.validator?.(message)
      verdict = typeof said === 'boolean' ? (said ? 'accept' : 'reject') : (said ?? 'ignore')
    } catch (error) {
      this.#host.emit('topic:error', { topic: message.topic, error })
    }
    // Who has left, or closed the node, is not waited for.
    if (!this.#joined.has(message.topic)) return
    this.#host.core().raw.validated(now(), message.id, VERDICTS.indexOf(verdict))
    this.#host.touch()
  }

  #peers(topic: string, mesh: boolean): readonly string[] {
    if (this.#host.closed()) return []
    const core = this.#host.core()
    return core.lines(core.raw.topic_peers(topic, mesh))
  }

  #left(reader: TopicImpl): void {
    const readers = this.#joined.get(reader.name)?.readers
    if (!readers?.delete(reader) || readers.size > 0) return
    this.#joined.delete(reader.name)
    this.#host.core().raw.unsubscribe(now(), reader.name)
    this.#host.touch()
  }
}

function read(body: Records): PubsubMessage {
  const topic = body.text()
  const id = body.range().slice()
  const receivedFrom = body.text()
  const from = body.text()
  const seq = body.text()
  return {
    topic,
    id,
    receivedFrom,
    from: from === '' ? undefined : from,
    seq: seq === '' ? undefined : BigInt(seq),
    signed: body.byte() === 1,
    data: body.range().slice(),
  }
}
