/** One subscription to a topic. */

import type { Published, PubsubMessage, Topic } from './types.js'

/** Messages that wait for whoever reads a topic; later ones are missed. */
const MAX_BEHIND = 1024
/** Bytes of these. */
const MAX_BEHIND_BYTES = 16 * 1024 * 1024

/** What a topic wants of its node. */
export interface TopicHost {
  peers(topic: string, mesh: boolean): readonly string[]
  publish(topic: string, data: Uint8Array | string): Published
  left(topic: TopicImpl): void
  failed(topic: string, error: unknown): void
}

/** See {@link Topic}. */
export class TopicImpl implements Topic {
  readonly name: string
  readonly #host: TopicHost
  readonly #onMessage: ((message: PubsubMessage) => void) | undefined
  #messages: PubsubMessage[] = []
  #bytes = 0
  #missed = 0
  #closed = false
  #waiting: (() => void)[] = []

  constructor(name: string, host: TopicHost, onMessage: ((message: PubsubMessage) => void) | undefined) {
    this.name = name
    this.#host = host
    this.#onMessage = onMessage
  }

  get peers(): readonly string[] {
    return this.#host.peers(this.name, false)
  }

  get mesh(): readonly string[] {
    return this.#host.peers(this.name, true)
  }

  get missed(): number {
    return this.#missed
  }

  publish(data: Uint8Array | string): Published {
    return this.#host.publish(this.name, data)
  }

  /** A message has come. */
  received(message: PubsubMessage): void {
    if (this.#onMessage !== undefined) {
      try {
        this.#onMessage(message)
      } catch (error) {
        this.#host.failed(this.name, error)
      }
      return
    }
    const bytes = this.#bytes + message.data.length
    if (this.#messages.length >= MAX_BEHIND || bytes > MAX_BEHIND_BYTES) {
      this.#missed++
      return
    }
    this.#bytes = bytes
    this.#messages.push(message)
    this.#wake()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#host.left(this)
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async next(): Promise<IteratorResult<PubsubMessage>> {
    while (this.#messages.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
    const value = this.#messages.shift()
    if (value === undefined) return { done: true, value: undefined }
    this.#bytes -= value.data.length
    return { done: false, value }
  }

  async return(): Promise<IteratorResult<PubsubMessage>> {
    this.close()
    this.#messages = []
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
