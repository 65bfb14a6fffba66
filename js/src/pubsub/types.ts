/** What publish and subscribe promise. */

import type { PubsubPeerDiscoveryOptions, TopicDiscoveryOptions } from '../discovery/types.js'
import type { PeerId } from '../types.js'

/** A message that a peer has published in a topic. */
export interface PubsubMessage {
  /** The topic. */
  readonly topic: string
  /** Who published it; nobody where messages are not signed. */
  readonly from: PeerId | undefined
  /** What was published. */
  readonly data: Uint8Array
  /** The author's number of the message. */
  readonly seq: bigint | undefined
  /** The peer that sent it to us first. */
  readonly receivedFrom: PeerId
  /** Whether it was signed; the signature is good then. */
  readonly signed: boolean
  /** What names it, for all who are in the topic. */
  readonly id: Uint8Array
}

/**
 * A judgement: `accept` delivers a message and passes it on, `reject` does neither and
 * whoever sent it is worth less, `ignore` does neither and that is nobody's fault.
 */
export type Verdict = 'accept' | 'reject' | 'ignore'

/**
 * Judges a message before anybody is told of it, at once or within 30 seconds; `true` is
 * `accept`, `false` is `reject`. Where it throws, the message is ignored.
 */
export type MessageValidator = (message: PubsubMessage) => Verdict | boolean | Promise<Verdict | boolean>

/** How one topic is subscribed to; holds for all who have subscribed to it in this node. */
export interface SubscribeOptions {
  /** Which messages are good. Default: all. */
  readonly validator?: MessageValidator | undefined
  /** The longest data of a message, in bytes. Default: some 200 less than `maxRpc`. */
  readonly maxDataLength?: number | undefined
  /** Is called with each message, instead of iterating. */
  readonly onMessage?: ((message: PubsubMessage) => void) | undefined
}

/** What became of a message of one's own. */
export interface Published {
  /**
   * Peers that it was sent to at once. With none, those who come in the next seconds are
   * told of it.
   */
  readonly peers: number
}

/**
 * A topic that the node is subscribed to: an async iterator over what others publish.
 * Leaving the loop closes it.
 */
export interface Topic extends AsyncIterableIterator<PubsubMessage> {
  /** Its name. */
  readonly name: string
  /** Peers that have subscribed to it, as far as they are connected. */
  readonly peers: readonly PeerId[]
  /** Those of them that send us each message at once. */
  readonly mesh: readonly PeerId[]
  /** Messages that were not kept because nobody took them: more than 1,024, or 16 MiB. */
  readonly missed: number
  /**
   * Publishes a message; this node itself is not told of it.
   *
   * @throws {LimitError} it is too long.
   */
  publish(data: Uint8Array | string): Published
  /** Leaves the topic, with the last of those who have subscribed to it here. */
  close(): void
}

/** How a node publishes and subscribes; the defaults are those of the specification. */
export interface PubsubOptions {
  /** `floodsub` sends everything to everyone. Default: `gossipsub`, which also speaks floodsub. */
  readonly mode?: 'gossipsub' | 'floodsub'
  /** Whether messages are signed, ours and others'. Default: true. */
  readonly sign?: boolean
  /**
   * What names a message: author and number, or its content; all peers of a topic must
   * agree. Default: `author`, and `content` if messages are not signed.
   */
  readonly ids?: 'author' | 'content'
  /** Whether one's own messages go to all peers of a topic, not to its mesh alone. Default: true. */
  readonly floodPublish?: boolean
  /** Whether peers that leave our mesh are told of others. Default: false. */
  readonly peerExchange?: boolean
  /** Whether connections that a relay limits are used too. Default: false. */
  readonly limited?: boolean
  /** Peers of a mesh: wanted (6), fewer are filled up (5), more are cut (12). */
  readonly mesh?: { readonly wanted?: number; readonly low?: number; readonly high?: number }
  /** How often meshes are looked after, in milliseconds. Default: 1,000. */
  readonly heartbeat?: number
  /** The longest message with all that belongs to it, in bytes. Default: 1 MiB. */
  readonly maxRpc?: number
  /**
   * Peers of a mesh that are nearly always late with what others have sent before are
   * choked: they tell of messages, and send those that are asked for. Peers of other
   * implementations are told, by IDONTWANT, what need not be sent. Among 1,000 simulated
   * peers that all do so, a delivery takes 2.9 copies instead of 6.5, and 111 ms instead of
   * 102 at the median, 200 instead of 184 for the slowest in a hundred. Default: false.
   */
  readonly choking?: boolean
  /** Peers that get and give everything, by agreement of both sides, and are kept connected. */
  readonly explicit?: readonly PeerId[]
}

/** What was done so far; the last three are of now. */
export interface PubsubStats {
  /** Messages of our own. */
  readonly published: number
  /** Messages that came and were good. */
  readonly delivered: number
  /** Messages that came once more. */
  readonly duplicates: number
  /** Messages that were bad. */
  readonly rejected: number
  /** Messages that were ignored. */
  readonly ignored: number
  /** Copies of messages that were given to peers. */
  readonly sent: number
  /** Copies that were dropped because a peer did not read; the oldest first. */
  readonly dropped: number
  /** Messages that were asked for after gossip told of them. */
  readonly asked: number
  /** Items beyond the limits, and messages that could not be read. */
  readonly excess: number
  /** Peers that speak with us. */
  readonly peers: number
  /** Topics that we are subscribed to. */
  readonly topics: number
  /** Peers in their meshes. */
  readonly mesh: number
}

/** Publish and subscribe: gossipsub 1.0 to 1.3 and floodsub. */
export interface Pubsub {
  /**
   * Subscribes to a topic, with a listener or for a loop.
   *
   * @throws {InvalidArgumentError} no topic can have this name: it has 1 to 256 bytes.
   * @example
   * ```ts
   * const topic = node.pubsub.subscribe('news')
   * topic.publish('hello')
   * for await (const { from, data } of topic) console.log(from, new TextDecoder().decode(data))
   * ```
   */
  subscribe(topic: string, how?: SubscribeOptions | ((message: PubsubMessage) => void)): Topic
  /**
   * Publishes a message in a topic that the node need not be subscribed to.
   *
   * @throws {LimitError} it is too long.
   */
  publish(topic: string, data: Uint8Array | string): Published
  /** The topics that are subscribed to here. */
  readonly topics: readonly string[]
  /** Connected peers that have subscribed to `topic`. */
  peersOf(topic: string): readonly PeerId[]
  /**
   * Looks for the peers of topics in this way from now on, instead of the option
   * `topicDiscovery`: `false` for nobody's, `true` as usual. Where the node is found then no
   * more, that is withdrawn.
   *
   * @throws {InvalidArgumentError} a rendezvous point has no PeerId.
   */
  setDiscovery(options: boolean | TopicDiscoveryOptions): void
  /**
   * Announces the node in a topic for that from now on and hears of others, as the option
   * `pubsubPeerDiscovery` does from the start.
   *
   * @throws {InvalidArgumentError} no topic can have one of these names, or it is too often.
   */
  startPeerDiscovery(options?: PubsubPeerDiscoveryOptions): void
  /**
   * What a peer is worth by what it did in topics, 0 for those who are not known: below
   * zero it is in no mesh. This node's own view, which it tells nobody.
   *
   * @throws {InvalidArgumentError} it is no PeerId.
   */
  score(peer: PeerId): number
  /** What was done so far. */
  stats(): PubsubStats
}

/** The events about topics, by name, and the type of their `detail`. */
export interface PubsubEvents {
  /** A peer has subscribed to a topic. */
  'topic:join': { readonly topic: string; readonly peer: PeerId }
  /** A peer has left a topic, or is gone. */
  'topic:leave': { readonly topic: string; readonly peer: PeerId }
  /** A validator or a listener of a topic has thrown. */
  'topic:error': { readonly topic: string; readonly error: unknown }
}
